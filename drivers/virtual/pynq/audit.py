"""A seeded sample of what a virtual board answered is executed on the overlay's RTL as well: answers and cycles.

The RTL is some hundred times slower than the board it stands for, so the sample goes to a process of its own at the
lowest priority (`drivers.virtual.pynq.auditor`), and what it finds comes back with later executions.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import drivers

if TYPE_CHECKING:
    from drivers.virtual.pynq.model_fabric import Ended, Start

WAITING = 64
"""Executions that may wait to be audited; beyond, what is drawn is left out rather than held up."""

_END = b""
_END_S = 10.0

NAMES = ("rtl_audited", "rtl_answers_differ", "rtl_cycles_differ")


class Audit:
    """Draws, hands over, and counts; the child starts with the first execution that is drawn, or before."""

    def __init__(
        self,
        frac: float,
        seed: int,
        *,
        command: tuple[str, ...] = (sys.executable, "-m", "drivers.virtual.pynq.auditor"),
    ) -> None:
        """Draw nothing yet.

        Args:
            frac: share of executions that are audited.
            command: of the child.
        """
        self._frac = frac
        self._draws = random.Random(f"rtl/{seed}")
        self._command = command
        self._waiting: queue.Queue[bytes] = queue.Queue(WAITING)
        self._lock = threading.Lock()
        self._found: dict[str, int] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._started = False
        self._threads: list[threading.Thread] = []

    def offer(self, program: Path, given: bytes, start: Start, ended: Ended) -> None:
        """Perhaps audit an execution: input as it lies in DDR, what was started, how it ended."""
        if self._draws.random() >= self._frac:
            return
        line = json.dumps(
            {
                "program": str(program),
                "given": base64.b64encode(given).decode("ascii"),
                "limits": start.limits,
                "mask": start.mask,
                "exit": ended.exit,
                "label": ended.label,
                "total": ended.total,
                "logits": base64.b64encode(ended.logits).decode("ascii"),
                "cycles": ended.cycles,
            }
        )
        self.start()
        try:
            self._waiting.put_nowait(line.encode() + b"\n")
        except queue.Full:
            return

    def report(self) -> dict[str, int]:
        """What came back since it was last asked, by `NAMES`; empty for nothing."""
        with self._lock:
            found, self._found = self._found, {}
        return found

    def close(self) -> None:
        """End the child, whatever it is at, and the threads that speak with it."""
        if self._child is not None and self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                os.killpg(self._child.pid, signal.SIGKILL)
        while True:  # what still waits goes unheard
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                break
        self._waiting.put_nowait(_END)
        for thread in self._threads:
            thread.join(_END_S)

    def start(self) -> None:
        """Start the child, which takes seconds to be ready; a second time does nothing."""
        if not self._started:
            self._started = True
            self._threads.append(threading.Thread(target=self._feed, name="audit", daemon=True))
            self._threads[0].start()

    def _feed(self) -> None:
        home = str(Path(drivers.__file__).parents[1])
        path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
        child = self._child = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # not ours: who reads them waits for their last holder when we are killed
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # a group of its own, so that what it has started can be ended with it
        )
        listening = threading.Thread(target=self._listen, args=(child,), name="audited", daemon=True)
        listening.start()
        assert child.stdin is not None
        with contextlib.suppress(OSError), child.stdin as stream:  # broken: it has ended, and has said why
            while line := self._waiting.get():
                stream.write(line)
                stream.flush()
        listening.join(_END_S)

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        with child.stdout as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # it was killed in the middle of a word
                if not line.startswith(b"{"):
                    sys.stderr.write(line.decode(errors="replace"))
                    continue
                said = json.loads(line)
                with self._lock:
                    for name in NAMES:
                        self._found[name] = self._found.get(name, 0) + int(said[name])
        child.wait(_END_S)
