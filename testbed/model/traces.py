"""Recorded rates of a wire, read from files.

Formats: **csv** with a header and the columns ``t_s`` (rising from 0) and ``rate_kbit``, each rate holding until the
next row and the last one for as long as the row before it; **mahimahi** (``mm-link``): one integer per line, the
millisecond at which 1,504 bytes can be delivered; several of the same are several chances; a chance that nobody uses is
lost. Both are repeated from the start when they end.

Source: mm-link(1) of mahimahi (Netravali et al., USENIX ATC 2015).
"""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

from testbed.errors import ConfigError
from testbed.model.wires import Chances, Steps
from testbed.units import MS, Ns, S

if TYPE_CHECKING:
    from pathlib import Path

_DIGITS = 15
_CURE = (
    "A .csv has a header and the columns t_s (rising) and rate_kbit; any other ending is mahimahi's: "
    "one whole, not falling number of milliseconds a line"
)


def read_trace(file: Path) -> Steps | Chances:
    """Read a trace by its ending: ``.csv``, anything else is mahimahi's.

    Raises:
        ConfigError: it cannot be read, has a line that is none, or never lets anything through.
    """
    try:
        lines = file.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        cure = "Name a text file; a relative name is looked for beside the file that names it"
        raise ConfigError(f"the trace cannot be read: {error}", file=file, key="trace", cure=cure) from error
    return _csv(file, lines) if file.suffix == ".csv" else _mahimahi(file, lines)


def _csv(file: Path, lines: list[str]) -> Steps:
    rows = csv.DictReader(lines)
    if not {"t_s", "rate_kbit"} <= set(rows.fieldnames or ()):
        raise _wrong(file, 1, "the header needs the columns t_s and rate_kbit")
    begins: list[Ns] = []
    rates: list[float] = []
    for number, row in enumerate(rows, start=2):
        try:
            at, rate = round(float(row["t_s"]) * S), float(row["rate_kbit"])
        except (TypeError, ValueError, OverflowError) as error:
            raise _wrong(file, number, "no numbers in t_s and rate_kbit") from error
        if not math.isfinite(rate):  # nothing would ever be through
            raise _wrong(file, number, "rates must be finite")
        if (begins and at <= begins[-1]) or rate < 0:
            raise _wrong(file, number, "times must rise and rates must not be negative")
        begins.append(at)
        rates.append(rate * 1e3 / 8)
    if len(begins) < 2 or not any(rates):
        raise _wrong(file, len(lines), "needs two rows and a rate above 0")
    begins = [at - begins[0] for at in begins]
    return Steps(begins, rates, begins[-1] + (begins[-1] - begins[-2]))


def _mahimahi(file: Path, lines: list[str]) -> Chances:
    at: list[Ns] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip().isdigit() or len(line.strip()) > _DIGITS:
            raise _wrong(file, number, "each line is a whole number of milliseconds")
        at.append(int(line) * MS)
        if len(at) > 1 and at[-1] < at[-2]:
            raise _wrong(file, number, "milliseconds must not fall")
    if not at or at[-1] == 0:
        raise _wrong(file, len(lines), "the last line is the period and must be above 0")
    return Chances(at, at[-1])


def _wrong(file: Path, line: int, why: str) -> ConfigError:
    return ConfigError(f"line {line}: {why}", file=file, key="trace", cure=_CURE)
