"""Any supply or power meter that answers SCPI queries with a number.

Source: SCPI-99 volume 1: 7.2.1.4 and 7.2.1.5 (9.9E37 is infinity: an overload; 9.91E37 is not a number), 21.8.3 (the
error queue); IEEE 488.2 10.14 (``*IDN?`` gives four fields: maker, model, serial number, firmware).
Ports: 5025 (Keysight, Siglent), 5555 (Rigol); USB and VXI-11 through VISA. Accuracy: the instrument's data sheet, in
the lab file. Rate: one question after the other, 10 to 50 a second with most. Not yet met an instrument.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import field

from drivers.meters.lines import ask, open_lines
from drivers.meters.options import MeterOptions, options_of, traits_of
from drivers.meters.sampled import SampledMeter
from testbed.errors import ConfigError, MeterError, SampleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from drivers.meters.lines import Lines
    from testbed.model.lab import MeterSpec
    from testbed.ports import BenchMeter
    from testbed.units import Ns

INFINITY = 9.9e37
NOT_A_NUMBER = 9.91e37
_TOLERANCE = 1e33


class ScpiOptions(MeterOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``kind = "scpi"`` meter.

    Attributes:
        rails: by name, the queries whose answers multiply to watts: one for a power, two for voltage and current.
        total: the rails that add up to what the board draws; none named: all of them.
        setup: commands sent at the start, e.g. a range or an integration time.
        timeout_ms: bound on each answer.
    """

    rails: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"input": ("MEAS:POW?",)})
    total: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    timeout_ms: int = 1000


def scpi(spec: MeterSpec) -> BenchMeter:
    """The meter of a ``kind = "scpi"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    options = options_of(spec, ScpiOptions)
    key = f"meters.{spec.name}"
    for name in options.total:
        if name not in options.rails:
            raise ConfigError(
                f"no rail {name!r}", file=spec.file, key=f"{key}.total", cure="Name one of rails"
            )
    for name, queries in options.rails.items():
        if not queries or not all(query.strip().endswith("?") or "? " in query for query in queries):
            cure = 'Write queries, e.g. ["MEAS:VOLT?", "MEAS:CURR?"]'
            raise ConfigError("not a query", file=spec.file, key=f"{key}.rails.{name}", cure=cure)
    return SampledMeter(spec, ScpiMeter(options), options.period)


class ScpiMeter:
    """Asks for every rail in turn; the sample stands for the middle of that."""

    waits = False

    def __init__(self, options: ScpiOptions) -> None:
        """Nothing is opened before ``start``."""
        self.rails: Sequence[str] = tuple(options.rails)
        self.total: Sequence[str] = options.total or self.rails
        self.about: Mapping[str, object] = {}
        asked = {"period_ns": "lab file, period_ms: how often the instrument is asked"}
        self.traits = traits_of(
            options, "average" if options.window_ms else "instant", asked, period_ns=options.period
        )
        self._options = options
        self._seconds = options.timeout_ms / 1e3
        self._lines: Lines | None = None
        self._last = -(1 << 63)

    def start(self, _: Ns) -> None:
        """Open the way, identify, set up.

        Raises:
            MeterError: it cannot be reached, is no SCPI instrument, or refuses the setup.
        """
        self.stop()
        self._lines = open_lines(self._options.where, baud=self._options.baud)
        try:
            self._lines.drain()
            identity = ask(self._lines, "*IDN?", self._seconds)
            if identity.count(",") != 3:
                raise MeterError(f"*IDN? is answered by {identity[:60]!r}, which is no SCPI instrument")
            self.about = {"identity": identity}
            for command in self._options.setup:
                self._lines.tell(command)
                refusal = ask(self._lines, "SYST:ERR?", self._seconds)
                if not refusal.lstrip("+").startswith("0"):
                    raise MeterError(f"{identity} refuses {command!r}: {refusal}")
        except MeterError:
            self.stop()
            raise

    def read(self, now: Callable[[], Ns]) -> tuple[Ns, list[float]]:
        """Watts of each rail.

        Raises:
            SampleError: an answer is no number, an overload, or beyond the range. MeterError: there is no answer.
        """
        if self._lines is None:
            raise MeterError("the meter is not started")
        before = now()
        answers = [
            [ask(self._lines, query, self._seconds) for query in queries]
            for queries in self._options.rails.values()
        ]
        stamp = max((before + now()) // 2, self._last + 1)
        watts = [math.prod(_number(answer) for answer in each) for each in answers]
        full_scale = self._options.full_scale_w
        if full_scale is not None and any(abs(value) >= full_scale for value in watts):
            raise SampleError(
                SampleError.SATURATED, f"{max(watts):g} W, and its range ends at {full_scale:g} W"
            )
        self._last = stamp
        return stamp, watts

    def stop(self) -> None:
        """Close the way."""
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()


def _number(answer: str) -> float:
    try:
        value = float(answer.strip().split(",")[0].rstrip("WVAwva \t"))
    except ValueError:
        raise SampleError(SampleError.GARBAGE, f"no number: {answer[:40]!r}") from None
    if math.isclose(abs(value), INFINITY, abs_tol=_TOLERANCE, rel_tol=1e-6):
        raise SampleError(SampleError.SATURATED, f"overload: {answer[:40]!r}")
    if not math.isfinite(value) or abs(value) >= INFINITY:
        raise SampleError(SampleError.GARBAGE, f"not a number: {answer[:40]!r}")
    return value
