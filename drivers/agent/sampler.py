"""Reads a meter at a period and streams the samples in batches, never silently losing any.

A reading that gives no sample is told as a fault with its kind and its place in time; a meter that is gone is
started again about every second until it is back.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from testbed.errors import MeterError, SampleError
from testbed.wire.messages import Log, PowerSamples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from drivers.agent.meters import Meter

    class Outlet(Protocol):
        """Where batches go."""

        @property
        def writable(self) -> bool:
            """Whether more can be taken now."""

        def send(self, message: PowerSamples | Log) -> None:
            """Take one."""


LOST = "lost"
_BATCH_NS = 200_000_000
_BATCH_ROWS = 64
_MAX_ROWS = 20_000
_MAX_FAULTS = 1_000
_MIN_PERIOD_NS = 1_000_000
_RESTART_NS = 1_000_000_000
_WARNING = 30


class _Faults:
    """Readings of one kind in a row that gave no sample."""

    __slots__ = ("count", "first", "kind", "last")

    def __init__(self, kind: str, at: int) -> None:
        self.kind = kind
        self.count = 1
        self.first = self.last = at


class Sampler:
    """One thread that samples one meter until stopped."""

    def __init__(
        self,
        name: str,
        meter: Meter,
        period_ns: int,
        now_ns: Callable[[], int],
        outlet: Outlet,
        *,
        started: bool = False,
    ) -> None:
        """Start sampling.

        Args:
            name: what the host calls the meter. meter: what is read. period_ns: from one reading to the
            next, at least 1 ms; a reading that takes longer delays the next. now_ns: the clock for
            stamps only; waiting is in real time. outlet: where batches go. started: whether the meter is already.
        """
        self._name = name
        self._meter = meter
        self._period = max(period_ns, _MIN_PERIOD_NS)
        self._now_ns = now_ns
        self._outlet = outlet
        self._started = started
        self._rows: deque[tuple[int, Sequence[float]]] = deque()
        self._faults: list[_Faults] = []
        self._dropped = 0
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sampler {name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop and send what is left; waits two seconds at most for a reading under way."""
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        due = flushed = time.monotonic_ns()
        running = self._started
        while not self._stop.is_set():
            was_running = running
            running = self._sample() if running else self._start()
            now = time.monotonic_ns()
            if len(self._rows) >= _BATCH_ROWS or now - flushed >= _BATCH_NS:
                self._send()
                flushed = now
            if not running:
                due = now + _RESTART_NS
            elif not was_running or self._meter.waits:
                due = now
                continue
            else:
                due = max(due + self._period, now)
            while (left := due - time.monotonic_ns()) > 0 and not self._stop.is_set():
                self._stop.wait(min(left, _BATCH_NS) / 1e9)
        self._meter.stop()
        self._send()

    def _start(self) -> bool:
        try:
            self._meter.start(self._period)
        except Exception as error:  # noqa: BLE001 - a driver's mistake must not end the thread without a word
            self._fault(LOST, error)
            return False
        return True

    def _sample(self) -> bool:
        """Read once; whether the meter is still there."""
        try:
            stamp, watts = self._meter.read(self._now_ns)
        except SampleError as error:
            self._fault(error.kind, error)
            return True
        except Exception as error:  # noqa: BLE001 - as above
            self._fault(LOST, error)
            self._meter.stop()
            return False
        self._rows.append((stamp, tuple(watts)))
        if len(self._rows) > _MAX_ROWS:
            self._rows.popleft()
            self._dropped += 1
        return True

    def _fault(self, kind: str, error: Exception) -> None:
        now = self._now_ns()
        last = self._faults[-1] if self._faults else None
        fresh = self._rows[-1][0] if self._rows else None
        if last is not None and last.kind == kind and (fresh is None or fresh < last.last):
            last.count += 1
            last.last = now
        else:
            self._faults.append(_Faults(kind, now))
        if len(self._faults) > _MAX_FAULTS:
            self._dropped += self._faults.pop(0).count
        if kind not in self._told:
            self._told.add(kind)
            known = isinstance(error, (MeterError, OSError))
            text = str(error) if known else f"{type(error).__name__}: {error} (a mistake of its driver)"
            self._outlet.send(Log(_WARNING, f"meter {self._name}, {kind}: {text}"))

    def _send(self) -> None:
        if not (self._rows or self._faults or self._dropped) or not self._outlet.writable:
            return
        self._outlet.send(
            PowerSamples(
                self._name,
                tuple(self._meter.rails),
                [stamp for stamp, _ in self._rows],
                [value for _, row in self._rows for value in row],
                self._dropped,
                [run.kind for run in self._faults],
                [run.count for run in self._faults],
                [stamp for run in self._faults for stamp in (run.first, run.last)],
            )
        )
        self._rows.clear()
        self._faults.clear()
        self._dropped = 0
