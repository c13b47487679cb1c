"""NVIDIA's ``tegrastats``: a child process that prints a line of everything at an interval.

Source: NVIDIA Jetson Linux Developer Guide, "tegrastats Utility"; lines of Nano, TX1, TX2, Xavier NX, AGX Xavier,
Orin NX/Nano and AGX Orin as their owners published them. A word is told by its kind, not its place:

==========================  ============================================================
``NAME cur/avg``            power [mW] (JetPack 4)
``NAME curmW/avgmW[/peak]`` power [mW] (JetPack 5 and later; a third value in JetPack 7)
``name@41.5C[/…]``          temperature; ``-256C`` is a zone without power
``NAME n/mMB``, ``@``, …    memory, clocks, engines: not of interest here
==========================  ============================================================

The same word may be a temperature and a rail (``GPU@32C`` and ``GPU 0/0`` on AGX Xavier); ``NC`` may come twice and is
left out. ``avg`` counts from the start of the process, so only the first figure is used.
Accuracy: that of the INA3221 behind it; the line comes some tens of ms after the readings. Stamped when it arrives.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from drivers.agent.meters.rails import NOT_RAILS, total_of
from drivers.agent.meters.sysfs import text_of
from testbed.errors import MeterError, SampleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PLACES = ("usr/bin/tegrastats", "home/nvidia/tegrastats", "home/ubuntu/tegrastats")
_POWER = re.compile(r"(\d+)(?:mW)?/\d+(?:mW)?(?:/\d+(?:mW)?)?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TEMPERATURE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)@(-?\d+(?:\.\d+)?)C(?:/-?[\d.]+C)?")
_NO_POWER_C = -256.0
_LOOK_MS = 100
_LOOK_SECONDS = 5.0
_LEAST_MS = 10
_ANSWER_SECONDS = 1.0
_KILL_SECONDS = 1.0
_LONGEST_LINE = 1 << 16


class Line(NamedTuple):
    """What one line says: rails in their order [W], temperatures by zone [°C]."""

    power_w: tuple[tuple[str, float], ...]
    temperature_c: dict[str, float]


def parse_line(text: str) -> Line | None:
    """One line, ``None`` where it is not of tegrastats (a date, a prompt, nothing)."""
    words = text.split()
    if "RAM" not in words:
        return None
    power = []
    for name, word in zip(words, words[1:]):
        value = _POWER.fullmatch(word)
        if value and _NAME.fullmatch(name) and name not in NOT_RAILS:
            power.append((name, int(value.group(1)) / 1e3))
    temperatures = {
        zone.group(1): float(zone.group(2)) for zone in map(_TEMPERATURE.fullmatch, words) if zone is not None
    }
    return Line(tuple(power), {name: c for name, c in temperatures.items() if c != _NO_POWER_C})


def find_tegrastats(root: str) -> Tegrastats:
    """The board's tool, after it has shown a line.

    Raises:
        MeterError: it is not there, does not run, or shows no power.
    """
    for place in _PLACES:
        tool = Path(root) / place
        if os.access(str(tool), os.X_OK):
            return Tegrastats(tool, text_of(Path(root) / "proc/device-tree/model"))
    raise MeterError("no tegrastats on this board")


class Tegrastats:
    """The rails of its lines, one sample a line."""

    waits = True

    def __init__(self, tool: Path, model: str) -> None:
        """Run the tool for one line.

        Raises:
            MeterError: it does not run, or shows no power.
        """
        self._tool = tool
        self._child: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._interval_s = _LOOK_MS / 1e3
        self._returned = 0.0
        self._last = -(1 << 63)
        self.rails: Sequence[str] = self._look()
        total, scope = total_of(model, self.rails)
        self.total: Sequence[str] = list(total)
        self.about: Mapping[str, object] = {"tool": str(tool), "scope": scope, "traits": traits(_LOOK_MS)}

    def _look(self) -> list[str]:
        self.start(_LOOK_MS * 1_000_000)
        limit = time.monotonic() + _LOOK_SECONDS
        try:
            while time.monotonic() < limit:
                line = parse_line(self._next_line(limit - time.monotonic()))
                if line is None:
                    continue
                if not line.power_w:
                    cure = "Run the agent as root: old releases show power to nobody else"
                    raise MeterError("tegrastats shows no power", cure=cure)
                return [name for name, _ in line.power_w]
        except SampleError as error:
            raise MeterError(f"tegrastats shows nothing: {error}") from error
        finally:
            self.stop()
        raise MeterError("tegrastats shows no line that is known")

    def start(self, period: int) -> None:
        """Run the tool with its interval nearest to ``period``.

        Raises:
            MeterError: it cannot be run.
        """
        self.stop()
        interval_ms = max(round(period / 1e6), _LEAST_MS)
        try:
            self._child = subprocess.Popen(
                [str(self._tool), "--interval", str(interval_ms)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except OSError as error:
            raise MeterError(f"{self._tool} does not run: {error.strerror}") from error
        self._interval_s = interval_ms / 1e3
        self._returned = time.monotonic()

    def read(self, now: Callable[[], int]) -> tuple[int, list[float]]:
        """Watts of the next line, stamped when it has come; lines that came while nobody read have no stamp.

        Raises:
            SampleError: no line in time, or one that does not hold the rails.
            MeterError: the tool has ended.
        """
        if self._child is None:
            raise MeterError("the meter is not started")
        if time.monotonic() - self._returned > self._interval_s / 2:
            self._discard()
        text = self._next_line(max(_ANSWER_SECONDS, 3 * self._interval_s))
        stamp = max(now(), self._last + 1)
        self._returned = time.monotonic()
        line = parse_line(text)
        if line is None or [name for name, _ in line.power_w] != self.rails:
            raise SampleError(SampleError.GARBAGE, f"a line without {', '.join(self.rails)}: {text[:60]!r}")
        self._last = stamp
        return stamp, [watts for _, watts in line.power_w]

    def stop(self) -> None:
        """Kill the tool."""
        child, self._child = self._child, None
        self._buffer = b""
        if child is None:
            return
        child.kill()
        if child.stdout is not None:
            child.stdout.close()
        try:
            child.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return  # in the kernel, uninterruptible; it goes with its pipe

    def _discard(self) -> None:
        while self._pour(0.0):
            if len(self._buffer) > _LONGEST_LINE:
                self._buffer = self._buffer[-_LONGEST_LINE:]
        self._buffer = self._buffer[self._buffer.rfind(b"\n") + 1 :]

    def _next_line(self, seconds: float) -> str:
        limit = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LONGEST_LINE:
                self._buffer = b""
                raise SampleError(SampleError.GARBAGE, "a line without end")
            if not self._pour(limit - time.monotonic()):
                raise SampleError(SampleError.NO_ANSWER, f"no line within {seconds:.2g} s")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("ascii", "replace")

    def _pour(self, seconds: float) -> bool:
        """Take what is there, or comes in time; whether there was anything."""
        if self._child is None or self._child.stdout is None:
            raise MeterError("the meter is not started")
        fd = self._child.stdout.fileno()
        if not select.select([fd], [], [], max(seconds, 0.0))[0]:
            return False
        data = os.read(fd, 1 << 16)
        if not data:
            raise MeterError("tegrastats has ended")
        self._buffer += data
        return True


def traits(interval_ms: int) -> dict[str, Any]:
    """Its errors, in the terms of ``testbed.model.meter.MeterTraits``."""
    return {
        "quantity": "instant",
        "metered": "rail",
        "delay_ns": 25_000_000,
        "delay_bound_ns": 25_000_000,
        "gain_frac": 0.0025 / 3**0.5 * 2**0.5,
        "sources": {
            "quantity": f"tegrastats reads the chips once an interval; looked at with {interval_ms} ms",
            "delay_ns": "assumed: reading all rails takes up to 50 ms before the line is printed",
            "delay_bound_ns": "assumed: half of that",
            "gain_frac": "SBOS576B (INA3221) 6.5: 0.25 % at most each for bus and shunt voltage",
        },
    }
