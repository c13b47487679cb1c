"""A meter that shows its reading in a file: one number, in milliwatts, renewed by whoever writes it.

Maker, manual and accuracy would stand here. Its range ends at 100 W.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from drivers.meters.sampled import SampledMeter
from testbed.errors import ConfigError, MeterError, SampleError
from testbed.model.lab import parse_options
from testbed.model.meter import MeterTraits
from testbed.units import MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from testbed.model.lab import MeterSpec
    from testbed.ports import BenchMeter
    from testbed.units import Ns

FULL_SCALE_W = 100.0


class FileOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``kind = "file"`` meter.

    Attributes:
        path: absolute, or beside the lab file. period_ms: from one reading to the next.
    """

    path: str
    period_ms: float = 20.0


def file_meter(spec: MeterSpec) -> BenchMeter:
    """The meter of a ``kind = "file"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    key = f"meters.{spec.name}"
    options = parse_options(spec.options, FileOptions, file=spec.file, key=key)
    if not options.period_ms >= 1:
        raise ConfigError(
            "must be at least 1", file=spec.file, key=f"{key}.period_ms", cure="Give milliseconds"
        )
    return SampledMeter(spec, FileMeter(spec.file.parent / options.path), round(options.period_ms * MS))


class FileMeter:
    """One number in a file."""

    waits = False

    def __init__(self, path: Path) -> None:
        """Nothing is opened before ``start``."""
        self.rails: Sequence[str] = ("input",)
        self.total: Sequence[str] = self.rails
        self.about: Mapping[str, object] = {"path": str(path)}
        self.traits = MeterTraits(quantity="instant", metered="board")
        self._path = path
        self._started = False
        self._last = -1

    def start(self, period: Ns) -> None:
        """See that the file is there."""
        if not self._path.is_file():
            raise MeterError(f"no file {self._path}", cure="Start what writes it")
        self._started = True

    def read(self, now: Callable[[], Ns]) -> tuple[Ns, Sequence[float]]:
        """The number that stands there now."""
        if not self._started:
            raise MeterError("the meter is not started")
        try:
            text = self._path.read_text()
        except OSError as error:
            raise MeterError(f"the file is gone: {error}") from error
        try:
            watts = float(text) / 1e3
        except ValueError:
            raise SampleError(SampleError.GARBAGE, f"not a number: {text[:40]!r}") from None
        if not math.isfinite(watts):
            raise SampleError(SampleError.GARBAGE, f"not a number: {text[:40]!r}")
        if watts >= FULL_SCALE_W:
            raise SampleError(SampleError.SATURATED, f"{watts} W is the end of the range")
        self._last = max(now(), self._last + 1)
        return self._last, (watts,)

    def stop(self) -> None:
        """Nothing is held."""
        self._started = False
