"""Reads a meter at a period and streams the samples in batches, never silently losing any."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from testbed.wire.messages import Log, PowerSamples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drivers.agent.meters import Meter
    from drivers.agent.outlet import Outlet

_BATCH_NS = 200_000_000
_BATCH_ROWS = 64
_MAX_ROWS = 20_000
_MIN_PERIOD_NS = 1_000_000
_WARNING = 30


class Sampler:
    """One thread that samples one meter until stopped."""

    def __init__(
        self, name: str, meter: Meter, period_ns: int, now_ns: Callable[[], int], outlet: Outlet
    ) -> None:
        """Start sampling.

        Args:
            name: what the host calls the meter. meter: what is read. period_ns: from one reading to the
            next, at least 1 ms; a reading that takes longer delays the next. now_ns: the board's clock, for
            stamps only; waiting is in real time. outlet: where batches go.
        """
        self._name = name
        self._meter = meter
        self._period = max(period_ns, _MIN_PERIOD_NS)
        self._now_ns = now_ns
        self._outlet = outlet
        self._rows: deque[tuple[int, Sequence[float]]] = deque()
        self._dropped = 0
        self._failed_reads = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sampler {name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop and send what is left; waits two seconds at most for a reading under way."""
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        due = time.monotonic_ns()
        flushed = due
        while not self._stop.is_set():
            self._sample()
            now = time.monotonic_ns()
            if len(self._rows) >= _BATCH_ROWS or now - flushed >= _BATCH_NS:
                self._send()
                flushed = now
            due = max(due + self._period, now)
            self._stop.wait((due - now) / 1e9)
        self._send()

    def _sample(self) -> None:
        try:
            stamp, watts = self._meter.read(self._now_ns)
        except (OSError, ValueError) as error:
            self._dropped += 1
            self._failed_reads += 1
            if self._failed_reads == 1:
                self._outlet.send(Log(_WARNING, f"meter {self._name} cannot be read: {error}"))
            return
        self._rows.append((stamp, tuple(watts)))
        if len(self._rows) > _MAX_ROWS:
            self._rows.popleft()
            self._dropped += 1

    def _send(self) -> None:
        if not (self._rows or self._dropped) or not self._outlet.writable:
            return
        stamps = [stamp for stamp, _ in self._rows]
        watts = [value for _, row in self._rows for value in row]
        self._outlet.send(PowerSamples(self._name, tuple(self._meter.rails), stamps, watts, self._dropped))
        self._rows.clear()
        self._dropped = 0
