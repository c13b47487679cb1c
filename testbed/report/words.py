"""How figures are written, the same in the terminal and on the page."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.measure.stats import Estimate
    from testbed.report.rows import EnergyRow

NONE = "-"


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits without an exponent for everyday sizes, a dash for nothing."""
    if value is None:
        return NONE
    if abs(value) < 1e-9:  # nothing here is that small but a rounding error
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    if abs(value) < 1e-3:
        return f"{value:.{digits - 1}e}"
    return f"{value:#.{digits}g}".rstrip(".")


def percent(value: float | None) -> str:
    """A ratio in per cent with one decimal."""
    return NONE if value is None else f"{value * 100:.1f} %"


def share(estimate: Estimate) -> str:
    """A proportion in per cent with its interval."""
    if estimate.value is None:
        return NONE
    text = f"{estimate.value * 100:.1f}"
    if estimate.interval is not None:
        low, high = estimate.interval
        text += f" [{low * 100:.1f}, {high * 100:.1f}]"
    return text + " %"


def estimated(estimate: Estimate, unit: str = "", *, scale: float = 1.0, signed: bool = False) -> str:
    """A figure with its interval, or with the note that it is withheld; the reason is told elsewhere."""
    if estimate.value is None:
        return "withheld" if estimate.reason else NONE
    show = _signed if signed else number
    text = show(estimate.value * scale)
    if estimate.interval is not None:
        low, high = estimate.interval
        text += f" [{show(low * scale)}, {show(high * scale)}]"
    return f"{text} {unit}".rstrip()


def energy(row: EnergyRow) -> str:
    """Net energy a request with its uncertainty."""
    if row.net_mj is None:
        return "none"
    return f"{number(row.net_mj)} ± {number(row.sigma_mj, 2)} mJ"


def share_of(part: float | None, whole: float | None) -> str:
    """A signed part in per cent of the whole."""
    if part is None or not whole:
        return NONE
    return f"{part / whole * 100:.0f} %"


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return NONE
    return "< 0.001" if value < 1e-3 else f"{value:.3f}"


MANY = 12
"""More boards than this are not listed by name."""


def several(names: Iterable[str]) -> list[str]:
    """Names of boards; if they are many, those that differ in their number only as one: ``mcu-* (350)``."""
    found = list(names)
    if len(found) <= MANY:
        return found
    stems = Counter(_stem(name) for name in found)
    return [f"{stem} ({n})" if stem.endswith("*") else stem for stem, n in stems.items()]


def _stem(name: str) -> str:
    stem, dash, digits = name.rpartition("-")
    return f"{stem}-*" if dash and digits.isdigit() else name


def counts(values: dict[str, int]) -> str:
    """``name n, name n``, largest first; of many boards those that differ in their number only together."""
    if len(values) > MANY:
        together: Counter[str] = Counter()
        for name, n in values.items():
            together[_stem(name)] += n
        values = together
    return (
        ", ".join(f"{name} {n}" for name, n in sorted(values.items(), key=lambda kv: (-kv[1], kv[0]))) or NONE
    )


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)
