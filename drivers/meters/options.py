"""What every instrument's table may say, and the traits that follow: its accuracy is in its data sheet, not in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeVar

from msgspec import Struct

from drivers.meters.lines import check_way
from testbed.errors import ConfigError
from testbed.model.lab import parse_options
from testbed.model.meter import MeterTraits, RailTraits, SampleKind
from testbed.units import MS, Ns

if TYPE_CHECKING:
    from testbed.model.lab import MeterSpec


class MeterOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of every ``[meters.NAME]`` table beside ``kind`` and ``feeds``.

    Attributes:
        where: the way to the instrument (see `drivers.meters.lines`). baud: of a serial port.
        period_ms: from one reading to the next; an instrument of its own pace keeps that.
        metered: what it covers: ``board``, the direct-current input; ``wall``, the mains; ``rail``; ``chip``.
        gain_frac: limit of error of the power, as a share of it, from the data sheet; offset_w: the constant part.
        step_w: smallest step of a reading. full_scale_w: the end of its range; what reads as much is no sample.
        window_ms: how long a value averages. delay_ms, delay_bound_ms: from the end of that to its stamp.
        source: where these figures come from, e.g. the data sheet's name and table; needed for any of them.
    """

    where: str
    baud: int = 115_200
    period_ms: float = 100.0
    metered: Literal["chip", "rail", "board", "wall"] = "board"
    gain_frac: float = 0.0
    offset_w: float = 0.0
    step_w: float | None = None
    full_scale_w: float | None = None
    window_ms: float = 0.0
    delay_ms: float = 0.0
    delay_bound_ms: float = 0.0
    source: str = ""

    @property
    def period(self) -> Ns:
        """``period_ms`` in ns."""
        return round(self.period_ms * MS)


OptionsT = TypeVar("OptionsT", bound=MeterOptions)
_FIGURES = ("gain_frac", "offset_w", "step_w", "full_scale_w", "window_ms", "delay_ms", "delay_bound_ms")


def options_of(spec: MeterSpec, kind: type[OptionsT]) -> OptionsT:
    """The meter's table as a value.

    Raises:
        ConfigError: unknown key, wrong type, a figure without its source, or one that cannot be.
    """
    key = f"meters.{spec.name}"
    options = parse_options(spec.options, kind, file=spec.file, key=key)
    for name in _FIGURES:
        value = getattr(options, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            cure = "Give the figure of the data sheet, or leave it out"
            raise ConfigError(
                "must be a number, not negative", file=spec.file, key=f"{key}.{name}", cure=cure
            )
        if value and name in spec.options and not options.source:
            cure = 'Add source = "..." with the data sheet and table that say so'
            raise ConfigError("a figure without a source", file=spec.file, key=f"{key}.{name}", cure=cure)
    if not 1 <= options.period_ms < math.inf:
        cure = "Give milliseconds, e.g. 100"
        raise ConfigError("must be at least 1", file=spec.file, key=f"{key}.period_ms", cure=cure)
    check_way(options.where, spec.file, f"{key}.where")
    return options


def traits_of(
    options: MeterOptions, quantity: SampleKind, sources: dict[str, str], **changes: int
) -> MeterTraits:
    """Traits by the table, over what the driver knows.

    Args:
        sources: of the driver's own figures. changes: those figures, by field.
    """
    figures = {
        "gain_frac": options.gain_frac / math.sqrt(3),
        "window_ns": round(options.window_ms * MS),
        "delay_ns": round(options.delay_ms * MS),
        "delay_bound_ns": round(options.delay_bound_ms * MS),
    }
    told = {name: f"lab file: {options.source}" for name, value in figures.items() if value}
    known = changes | {name: value for name, value in figures.items() if value}
    rail = RailTraits(
        step_w=options.step_w,
        offset_w=options.offset_w / math.sqrt(3),
        full_scale_w=options.full_scale_w,
    )
    if rail != RailTraits():
        told["rails"] = f"lab file: {options.source}"
    return MeterTraits(
        quantity=quantity,
        metered=options.metered,
        rails={"": rail},
        sources=sources | told,
        **known,  # type: ignore[arg-type]
    )
