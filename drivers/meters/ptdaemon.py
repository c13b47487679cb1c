"""SPEC PTDaemon, which MLPerf power measurements are made with: it drives the power analyser, we ask it over TCP.

Source: MLCommons power-dev, ptd_client_server (dialogue), MLPerf power measurement rules (two passes). Lines end CRLF:

===================  ===================================================================================
``Hello``            ``Hello, PTDaemon here!``
``Identify``         the analyser and ``version=``
``RR``               ``Ranges,<A auto>,<A>,<V auto>,<V>``: auto 1, 0, -1 (unknown); -1.0 is an unknown range
``SR,A,Auto|5``      ``Range A changed``; ``SR,V,…`` likewise
``Go,1000,0,MARK``   starts a measurement with a sample every 1000 ms
``RL,*,*``           ``Last N samples``, then the N lines unread so far; ``RL`` where that has too many
                     parameters, ``DC-RL`` where it is unknown
``Watts``            the last reading; ``Uncertainty``: of the measurement
``Stop``             ``Stopping untimed measurement``
===================  ===================================================================================

A sample: ``Time,MM-DD-YYYY HH:MM:SS.mmm,Watts,12.31,Volts,229.8,Amps,0.061,PF,0.87,Mark,TEXT``. Its own stamps are put
on our clock by the quickest arrivals. -1 W is a channel that is off, and other negative powers are meter stalls: no
samples. Two passes: *ranging* with automatic ranges, whose largest volts and amperes fix the ranges of *testing*.
Accuracy: the analyser's and range's, which PTDaemon tells as its uncertainty. Not yet met an analyser.
"""

from __future__ import annotations

import datetime
import math
import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from drivers.meters.alignment import OneWayClock
from drivers.meters.lines import ask, open_lines
from drivers.meters.options import MeterOptions, options_of, traits_of
from drivers.meters.sampled import SampledMeter
from testbed.errors import MeterError, SampleError
from testbed.units import MS, Ns, S, to_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from drivers.meters.lines import Lines
    from testbed.model.lab import MeterSpec
    from testbed.ports import BenchMeter

RANGING, TESTING = "ranging", "testing"
OVER_RANGE = 1.3
"""An analyser's range is effective; it measures up to 130 % of it (Yokogawa WT300 series, IM WT310-01EN, ranges)."""
_SAMPLE = re.compile(
    r"Time,(?P<time>[^,]+),Watts,(?P<w>[^,]+),Volts,(?P<v>[^,]+),Amps,(?P<a>[^,]+),PF,[^,]*,Mark,(?P<mark>[^,]*)(,.*)?"
)
_TIME = "%m-%d-%Y %H:%M:%S.%f"
_EPOCH = datetime.datetime(2000, 1, 1)
_READS = ("RL,*,*", "RL", "DC-RL")
_ANSWER_SECONDS = 2.0
_LONGEST_READ = 100_000


class PtdOptions(MeterOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``kind = "ptdaemon"`` meter.

    Attributes:
        volts, amps: fixed ranges; without, they are found in a ranging pass over the warm-up.
        settle_s: how long the analyser takes after its ranges were set. reach_s: how long to try to reach the daemon,
            which takes up to 17 s to start with USB analysers.
        mark: what the daemon's own log calls this run.
    """

    volts: float | None = None
    amps: float | None = None
    settle_s: float = 10.0
    reach_s: float = 20.0
    mark: str = "testbed"
    period_ms: float = 1000.0


def ptdaemon(spec: MeterSpec) -> BenchMeter:
    """The meter of a ``kind = "ptdaemon"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    options = options_of(spec, PtdOptions)
    return SampledMeter(spec, PtdMeter(options), options.period)


class PtdMeter:
    """One sample a period of the daemon's; asks several times a period, so that it is known when each was made."""

    waits = True

    def __init__(self, options: PtdOptions) -> None:
        """Nothing is contacted before ``start``."""
        self.rails: Sequence[str] = ("input",)
        self.total: Sequence[str] = self.rails
        self.about: Mapping[str, object] = {}
        poll = options.period // 10
        sources = {
            "window_ns": "power-dev: Go,<ms>: the analyser averages over each update interval",
            "period_ns": "the interval asked for with Go",
            "delay_bound_ns": "half the time between two questions; the daemon's own delay is not stated",
        }
        self.traits = traits_of(
            options,
            "average",
            sources,
            window_ns=options.period,
            period_ns=options.period,
            delay_bound_ns=poll // 2,
        )
        self._options = options
        self._poll_s = to_s(poll)
        self._lines: Lines | None = None
        self._guard = threading.Lock()
        self._clock = OneWayClock(jump_ns=10 * S)
        self._queue: deque[tuple[str, Ns]] = deque()
        self._read = 0
        self._most = (0.0, 0.0)
        self._ranges: tuple[float, float] | None = None
        self._ready = 0.0
        self._initial = ("Auto", "Auto")

    def start(self, _: Ns) -> None:
        """Reach the daemon, set its ranges, begin to measure.

        Raises:
            MeterError: it cannot be reached, or is none.
        """
        self.stop()
        with self._guard:
            lines = self._reach()
            try:
                if ask(lines, "Hello", _ANSWER_SECONDS) != "Hello, PTDaemon here!":
                    raise MeterError("what answers there is no PTDaemon")
                identity = ask(lines, "Identify", _ANSWER_SECONDS)
                self._initial = _ranges(ask(lines, "RR", _ANSWER_SECONDS))
                self._lines = lines
                fixed = self._ranges or (self._options.volts, self._options.amps)
                self._measure(lines, fixed[0], fixed[1])
            except MeterError:
                self._lines = None
                lines.close()
                raise
            self.about = {**self.about, "identity": identity}

    def fix_ranges(self) -> None:
        """End the ranging pass: the largest volts and amperes seen become the ranges of the testing pass.

        Raises:
            MeterError: nothing was seen, or the daemon refuses.
        """
        with self._guard:
            volts, amps = self._most
            if self._ranges is not None or (
                self._options.volts is not None and self._options.amps is not None
            ):
                return
            if self._lines is None or amps <= 0:
                raise MeterError(
                    "the ranging pass saw no sample", cure="Warm up for longer, or state volts and amps"
                )
            self._ranges = (self._options.volts or volts, self._options.amps or amps)
            ask(self._lines, "Stop", _ANSWER_SECONDS)
            self._measure(self._lines, *self._ranges)

    def read(self, now: Callable[[], Ns]) -> tuple[Ns, list[float]]:
        """Watts of the next sample.

        Raises:
            SampleError: none in time (also while the analyser settles), nonsense, or an analyser beyond its range.
            MeterError: the daemon is gone.
        """
        limit = time.monotonic() + max(1.0, 2 * self._options.period_ms / 1e3)
        while not self._queue:
            with self._guard:
                if self._lines is None:
                    raise MeterError("the meter is not started")
                if time.monotonic() >= self._ready:
                    arrival = now()
                    self._queue.extend((text, arrival) for text in self._unread(self._lines))
            if self._queue:
                break
            if time.monotonic() >= limit:
                raise SampleError(SampleError.NO_ANSWER, "no sample in time")
            time.sleep(self._poll_s)
        text, arrival = self._queue.popleft()
        return self._sample(text, arrival)

    def stop(self) -> None:
        """End the measurement, put the ranges back, let go."""
        with self._guard:
            lines, self._lines = self._lines, None
            self._queue.clear()
            if lines is None:
                return
            try:
                ask(lines, "Stop", _ANSWER_SECONDS)
                ask(lines, f"SR,V,{self._initial[0]}", _ANSWER_SECONDS)
                ask(lines, f"SR,A,{self._initial[1]}", _ANSWER_SECONDS)
            except MeterError:
                return  # it is gone: nothing to put back
            finally:
                lines.close()

    def _reach(self) -> Lines:
        limit = time.monotonic() + self._options.reach_s
        while True:
            try:
                return open_lines(self._options.where, end="\r\n")
            except MeterError:
                if time.monotonic() + 0.5 > limit:
                    raise
                time.sleep(0.5)

    def _measure(self, lines: Lines, volts: float | None, amps: float | None) -> None:
        """Set the ranges, let the analyser settle, begin."""
        stage = TESTING if volts is not None and amps is not None else RANGING
        for letter, value in (("V", volts), ("A", amps)):
            told = ask(lines, f"SR,{letter},{'Auto' if value is None else f'{value:g}'}", _ANSWER_SECONDS)
            if "changed" not in told:
                raise MeterError(f"PTDaemon does not set the range {letter}: {told}")
        self._ready = time.monotonic() + self._options.settle_s
        ask(lines, f"Go,{self._options.period_ms:.0f},0,{self._options.mark}_{stage}", _ANSWER_SECONDS)
        self._clock.forget()
        self._queue.clear()
        self.about = {
            **self.about,
            "stage": stage,
            "range_v": volts,
            "range_a": amps,
            "uncertainty": ask(lines, "Uncertainty", _ANSWER_SECONDS) if stage == TESTING else None,
        }

    def _unread(self, lines: Lines) -> list[str]:
        """Samples since the last question; finds out the form of question that this daemon takes."""
        while True:
            told = ask(lines, _READS[self._read], _ANSWER_SECONDS)
            found = re.fullmatch(r"Last (\d+) samples?.*", told)
            if found is not None:
                break
            if self._read + 1 == len(_READS) or not told.startswith(("Unknown command", "Invalid number")):
                raise MeterError(f"PTDaemon gives no samples: {told[:80]}")
            self._read += 1
        count = int(found.group(1))
        if count > _LONGEST_READ:
            raise MeterError(f"PTDaemon announces {count} samples")
        try:
            return [lines.line(_ANSWER_SECONDS) for _ in range(count)]
        except SampleError as error:
            raise MeterError(f"PTDaemon announced {count} samples and did not send them") from error

    def _sample(self, text: str, arrival: Ns) -> tuple[Ns, list[float]]:
        found = _SAMPLE.fullmatch(text.strip())
        try:
            if found is None:
                raise ValueError
            made = datetime.datetime.strptime(found["time"], _TIME) - _EPOCH
            watts, volts, amps = (float(found[name]) for name in ("w", "v", "a"))
        except ValueError:
            raise SampleError(SampleError.GARBAGE, f"no sample: {text[:80]!r}") from None
        if watts < 0 or not all(map(math.isfinite, (watts, volts, amps))):
            raise SampleError(SampleError.GARBAGE, f"{watts:g} W, a stalled meter or a channel that is off")
        self._most = (max(self._most[0], volts), max(self._most[1], amps))
        ranges = self._ranges or (self._options.volts, self._options.amps)
        for value, end in zip((volts, amps), ranges, strict=True):
            if end is not None and value > OVER_RANGE * end:
                raise SampleError(SampleError.SATURATED, f"{value:g} in the range {end:g}")
        own = round(made / datetime.timedelta(milliseconds=1)) * MS
        return self._clock.place(own, arrival), [watts]


def _ranges(told: str) -> tuple[str, str]:
    """What to put back at the end, volts and amperes: ``Auto`` where a range is automatic or unknown."""
    words = told.split(",")
    if words[0] != "Ranges" or len(words) != 5:
        return "Auto", "Auto"
    amps, volts = (
        value if auto == "0" and not value.startswith("-") else "Auto"
        for auto, value in (words[1:3], words[3:5])
    )
    return volts, amps
