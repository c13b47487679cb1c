"""An INA226 or INA219 on a microcontroller that prints lines of figures on a serial port.

Lines: a header that names the columns, ``t_us,bus_mV,current_mA,power_mW`` in any order, then one line a sample, 100 to
500 a second. ``power_mW`` may be left out; it is voltage times current then. A header that was printed before we
opened the port is not waited for: lines of as many columns as the usual header are taken as that.
``t_us`` is the microcontroller's own clock (it may begin again after 2^32 us); it is put on ours by the quickest
arrivals, less the time of the bytes on the line.
Maker: Texas Instruments, INA226 (SBOS547A 6.5): full scale 81.92 mV over the shunt, steps 2.5 uV and 1.25 mV, gain
error 0.1 % at most; the shunt's tolerance (1 % on the common breakouts) is for the lab file to state. Not yet met one.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from drivers.meters.alignment import OneWayClock, Unwrap
from drivers.meters.lines import open_lines
from drivers.meters.options import MeterOptions, options_of, traits_of
from drivers.meters.sampled import SampledMeter
from testbed.errors import MeterError, SampleError
from testbed.units import MS, US, Ns, S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from drivers.meters.lines import Lines
    from testbed.model.lab import MeterSpec
    from testbed.ports import BenchMeter

HEADER = ("t_us", "bus_mV", "current_mA", "power_mW")
FULL_SCALE_UV = 81_920.0
_STEP_UV = 2.5
_WRAP_US = 1 << 32
_SETTLE_LINES = 8
_SETTLE_SECONDS = 3.0
_ANSWER_SECONDS = 1.0
_BITS_PER_BYTE = 10


class SerialCsvOptions(MeterOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``kind = "serial-csv"`` meter.

    Attributes:
        shunt_mohm: what tells a current at full scale. rail: name of what it measures.
    """

    shunt_mohm: float = 100.0
    rail: str = "input"
    period_ms: float = 10.0


def serial_csv(spec: MeterSpec) -> BenchMeter:
    """The meter of a ``kind = "serial-csv"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    options = options_of(spec, SerialCsvOptions)
    return SampledMeter(spec, SerialCsvMeter(options), options.period)


class SerialCsvMeter:
    """One sample a line, at the instrument's own pace."""

    waits = True

    def __init__(self, options: SerialCsvOptions) -> None:
        """Nothing is opened before ``start``."""
        self.rails: Sequence[str] = (options.rail,)
        self.total: Sequence[str] = self.rails
        self.about: Mapping[str, object] = {}
        sources = {
            "delay_bound_ns": "assumed: half of the 1 ms that USB serial bridges hold bytes back (latency timer 1 ms)"
        }
        self.traits = traits_of(options, "instant", sources, delay_bound_ns=MS // 2)
        self._options = options
        self._full_scale_ma = (FULL_SCALE_UV - _STEP_UV) / options.shunt_mohm
        self._lines: Lines | None = None
        self._clock = OneWayClock()
        self._unwrap = Unwrap(_WRAP_US)
        self._columns: dict[str, int] = {}

    def start(self, _: Ns) -> None:
        """Open the port, and read until lines make sense.

        Raises:
            MeterError: no port, or nothing on it that makes sense.
        """
        self.stop()
        self._clock.forget()
        self._unwrap = Unwrap(_WRAP_US)
        self._columns = {}
        self._lines = open_lines(self._options.where, baud=self._options.baud)
        try:
            self._lines.drain()
            self._await_sense(self._lines)
        except MeterError:
            self.stop()
            raise
        self.about = {"columns": list(self._columns), "shunt_mohm": self._options.shunt_mohm}

    def _await_sense(self, lines: Lines) -> None:
        limit = time.monotonic() + _SETTLE_SECONDS
        good, last = 0, ""
        while good < _SETTLE_LINES:
            left = limit - time.monotonic()
            if left <= 0:
                raise MeterError(f"no lines like {','.join(HEADER)}, but {last[:60]!r}")
            try:
                last = lines.line(left)
                if self._take_header(last):
                    continue
                if not self._columns and last.count(",") == len(HEADER) - 1:
                    self._columns = {name: index for index, name in enumerate(HEADER)}
                own, _ = self._parse(last)
                self._place(last, own, time.monotonic_ns())  # so that the first sample told is well placed
                good += 1
            except SampleError:
                good = 0  # the port was opened in the middle of a line, or there is nothing yet

    def read(self, now: Callable[[], Ns]) -> tuple[Ns, list[float]]:
        """Watts of the next line.

        Raises:
            SampleError: no line in time, nonsense on it, or a current at full scale. MeterError: the port is gone.
        """
        if self._lines is None:
            raise MeterError("the meter is not started")
        text = self._lines.line(_ANSWER_SECONDS)
        arrival = now()
        if self._take_header(text):
            self._clock.forget()
            self._unwrap = Unwrap(_WRAP_US)
            raise SampleError(SampleError.NO_ANSWER, "the microcontroller began anew")
        own, watts = self._parse(text)
        return self._place(text, own, arrival), [watts]

    def stop(self) -> None:
        """Close the port."""
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()

    def _place(self, text: str, own: Ns, arrival: Ns) -> Ns:
        on_line = (len(text) + 1) * _BITS_PER_BYTE * S // self._options.baud
        return self._clock.place(own, arrival - on_line)

    def _take_header(self, text: str) -> bool:
        words = [word.strip() for word in text.split(",")]
        if not {"t_us", "bus_mV", "current_mA"} <= set(words):
            return False
        self._columns = {word: index for index, word in enumerate(words)}
        return True

    def _parse(self, text: str) -> tuple[Ns, float]:
        """The instrument's own instant [ns], and watts."""
        words = text.split(",")
        try:
            if len(words) != len(self._columns):
                raise ValueError
            figures = {name: float(words[index]) for name, index in self._columns.items()}
            own_us = int(figures["t_us"])
        except (ValueError, OverflowError):
            raise SampleError(SampleError.GARBAGE, f"not a line of figures: {text[:60]!r}") from None
        if not all(map(math.isfinite, figures.values())) or not 0 <= own_us < _WRAP_US:
            raise SampleError(SampleError.GARBAGE, f"not a line of figures: {text[:60]!r}")
        own = self._unwrap.count(own_us) * US
        if abs(figures["current_mA"]) >= self._full_scale_ma:
            raise SampleError(
                SampleError.SATURATED, f"{figures['current_mA']:g} mA is full scale over the shunt"
            )
        milliwatts = figures.get("power_mW", figures["bus_mV"] * figures["current_mA"] / 1e3)
        return own, milliwatts / 1e3
