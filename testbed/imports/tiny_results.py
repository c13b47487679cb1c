"""Reads ``results.txt`` of the MLPerf Tiny runner: throughput, energy and accuracy as it printed them.

The runner of v0.5 to v1.2 stamps every line (``01582.181 ulp-ml:``) and numbers windows 2, 4, 6, ...; that of v1.3
numbers trials from 0, prints milliwatts and mixes performance windows into the same file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from testbed.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_STAMP = re.compile(r"^\s*[\d.]+\s+ulp-ml(?:perf)?:\s?")
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_LINES = {
    "energy_window": re.compile(rf"Energy data for window (\d+) at time {_NUMBER} for {_NUMBER} sec"),
    "energy_trial": re.compile(r"Energy data for trial (\d+)"),
    "rate_window": re.compile(r"Performance results for window (\d+)"),
    "elapsed": re.compile(rf"Elapsed time\s*:\s*{_NUMBER}"),
    "inferences": re.compile(r"(?:# )?Inferences\s*:\s*(\d+)"),
    "energy": re.compile(rf"(?:Total )?Energy\s*:\s*{_NUMBER} uJ$"),
    "power": re.compile(rf"Power\s*:\s*{_NUMBER} (uW|mW)"),
    "each": re.compile(rf"Energy/Inf\.?\s*:\s*{_NUMBER} uJ/inf"),
    "runtime": re.compile(rf"Runtime\s*:\s*{_NUMBER} sec"),
    "throughput": re.compile(rf"Throughput\s*:\s*{_NUMBER} inf"),
    "short": re.compile(r"e-\[The run must take"),
    "median_energy": re.compile(rf"Median energy cost is\s+{_NUMBER} uJ"),
    "median_rate": re.compile(rf"Median throughput is\s+{_NUMBER} inf"),
    "top1": re.compile(rf"Top[- ]1(?:%)?\s*[:=]\s*{_NUMBER}"),
    "auc": re.compile(rf"AUC\s*[:=]\s*{_NUMBER}"),
}


class EnergyWindow(Struct, frozen=True, kw_only=True):
    """Energy of one measured window as printed: [uJ], mean power [uW], per inference [uJ], duration [s]."""

    number: int
    duration_s: float
    energy_uj: float = 0.0
    power_uw: float = 0.0
    each_uj: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether all its lines were there."""
        return self.energy_uj > 0 and self.power_uw > 0 and self.each_uj > 0


class RateWindow(Struct, frozen=True, kw_only=True):
    """Inferences of one window, its length [s] and throughput [1/s]; ``short``: the runner found it too short."""

    number: int
    inferences: int = 0
    runtime_s: float = 0.0
    per_s: float = 0.0
    short: bool = False

    @property
    def whole(self) -> bool:
        """Whether all its lines were there."""
        return self.inferences > 0 and self.runtime_s > 0 and self.per_s > 0


class TinyResults(Struct, frozen=True, kw_only=True):
    """All that one ``results.txt`` says; what it does not say is empty or ``None``.

    Attributes:
        ended: its last line has an end, as every line the runner writes.
    """

    energies: tuple[EnergyWindow, ...] = ()
    rates: tuple[RateWindow, ...] = ()
    median_uj: float | None = None
    median_per_s: float | None = None
    top1_percent: float | None = None
    auc: float | None = None
    ended: bool = True

    @property
    def torn(self) -> tuple[str, ...]:
        """What shows that a part of the file is missing."""
        found = []
        for what, windows, median in (
            ("energy", self.energies, self.median_uj),
            ("throughput", self.rates, self.median_per_s),
        ):
            if lacking := [str(window.number) for window in windows if not window.whole]:
                found.append(f"lines of the {what} windows {', '.join(lacking)} are missing")
            if windows and median is None:
                found.append(f"{len(windows)} {what} windows, but not their median")
        # Trials count from 0, and need no throughput beside them.
        if self.energies and self.energies[0].number > 0 and not self.rates:
            found.append("energy windows, but not how many inferences they had")
        return (*found, "its last line is cut off") if not self.ended else tuple(found)


def read_results(file: Path) -> TinyResults:
    """Read one ``results.txt``.

    Raises:
        ConfigError: it cannot be read, or the runner printed nothing in it that we know.
    """
    try:
        told = file.read_text("utf-8", errors="replace")
    except OSError as error:
        raise ConfigError("cannot read the results", file=file, cure="Check the path") from error
    energies: list[EnergyWindow] = []
    rates: list[RateWindow] = []
    said: dict[str, float] = {}
    current: list[EnergyWindow] | list[RateWindow] | None = None
    for line in told.splitlines():
        text = _STAMP.sub("", line).strip()
        kind, groups = _match(text)
        if kind == "energy_window":
            energies.append(EnergyWindow(number=int(groups[0]), duration_s=float(groups[2])))
            current = energies
        elif kind == "energy_trial":
            energies.append(EnergyWindow(number=int(groups[0]), duration_s=0.0))
            current = energies
        elif kind == "rate_window":
            opened = RateWindow(number=int(groups[0]))
            if rates[-1:] != [opened]:  # some logs have every line twice
                rates.append(opened)
            current = rates
        elif kind in {"median_energy", "median_rate", "top1", "auc"}:
            said[kind] = float(groups[0])
        elif kind and current is energies:
            energies[-1] = _add_energy(energies[-1], kind, groups)
        elif kind and current is rates:
            rates[-1] = _add_rate(rates[-1], kind, groups)
    if not (energies or rates or said):
        raise ConfigError("no line of the MLPerf Tiny runner in it", file=file, cure="Give its results.txt")
    return TinyResults(
        energies=tuple(energies),
        rates=tuple(rates),
        median_uj=said.get("median_energy"),
        median_per_s=said.get("median_rate"),
        top1_percent=said.get("top1"),
        auc=said.get("auc"),
        ended=told.endswith("\n"),
    )


def _match(text: str) -> tuple[str, tuple[str, ...]]:
    for kind, pattern in _LINES.items():
        found = pattern.match(text)
        if found is not None:
            return kind, found.groups()
    return "", ()


def _add_energy(window: EnergyWindow, kind: str, groups: tuple[str, ...]) -> EnergyWindow:
    match kind:
        case "elapsed":
            return msgspec.structs.replace(window, duration_s=float(groups[0]))
        case "energy":
            return msgspec.structs.replace(window, energy_uj=float(groups[0]))
        case "power":
            scale = 1e3 if groups[1] == "mW" else 1.0
            return msgspec.structs.replace(window, power_uw=float(groups[0]) * scale)
        case "each":
            return msgspec.structs.replace(window, each_uj=float(groups[0]))
        case _:
            return window


def _add_rate(window: RateWindow, kind: str, groups: tuple[str, ...]) -> RateWindow:
    match kind:
        case "inferences":
            return msgspec.structs.replace(window, inferences=int(groups[0]))
        case "runtime":
            return msgspec.structs.replace(window, runtime_s=float(groups[0]))
        case "throughput":
            return msgspec.structs.replace(window, per_s=float(groups[0]))
        case "short":
            return msgspec.structs.replace(window, short=True)
        case _:
            return window
