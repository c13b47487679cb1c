"""What a hwprofile must hold to be read, and what it should say besides to be published.

`check_profile` refuses what is wrong; `shortcomings` names what is missing and still lets the profile be used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import ConfigError
from testbed.model.origin import Origin

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.model.profile import Concurrent, Confidence, HwProfile, InferenceEnergy, Quantity, Service

    Figure = Quantity | Service | InferenceEnergy | Confidence | Concurrent


def check_names(profile: HwProfile, file: Path) -> None:
    """A profile lies under the names it bears.

    Raises:
        ConfigError: its board is not the folder, or its model not the file.
    """
    if profile.board != file.parent.name:
        raise ConfigError(
            f"board {profile.board!r} in folder {file.parent.name!r}",
            file=file,
            key="board",
            cure="Make them agree",
        )
    if profile.model != file.stem:
        raise ConfigError(
            f"model {profile.model!r} in file {file.name!r}", file=file, key="model", cure="Make them agree"
        )


def check_profile(profile: HwProfile, file: Path) -> None:
    """A profile is complete and in order.

    Raises:
        ConfigError: naming the key at fault in ``file``.
    """
    for i, service in enumerate(profile.service):
        _check_service(service, file, f"service[{i}]")
    for i, row in enumerate(profile.concurrent):
        _check_service(row, file, f"concurrent[{i}]")
    _check_coverage(profile, file)
    for i, curve in enumerate(profile.confidence):
        _check_confidence(curve, file, f"confidence[{i}]")
    _check_sources(profile, file)
    _check_energy(profile, file)


def shortcomings(profile: HwProfile) -> list[str]:
    """What a reader would miss, one sentence each; empty for a profile that can be published.

    A figure of silicon (measured by us, or by somebody whom we cite) must tell how it came to be; a power must tell
    what it covers.
    """
    found = []
    for name in ("active_w", "idle_w"):
        power: Quantity | None = getattr(profile, name)
        if power is not None and power.metered is None:
            found.append(f"{name} does not say what is metered (metered = {{kind, what}})")
    of_silicon = {Origin.MEASURED, Origin.CONTENDED, Origin.CITED, Origin.DERIVED}
    if profile.provenance is None and of_silicon & {row.origin for row in profile.service}:
        found.append("no [provenance], but service times of a real board")
    if profile.provenance is not None and not profile.provenance.run:
        found.append("provenance.run is empty: no run folder or submission behind the figures")
    return found


def figures(profile: HwProfile) -> dict[str, Figure]:
    """Every figure of a profile that has an origin and a source, by key in its file."""
    named: dict[str, Figure | None] = {
        "active_w": profile.active_w,
        "idle_w": profile.idle_w,
        "load_ms": profile.load_ms,
        "memory_bytes": profile.memory_bytes,
        "link_rtt_ms": profile.link_rtt_ms,
        "link_bytes_per_s": profile.link_bytes_per_s,
        "meter_refresh_ms": profile.meter_refresh_ms,
        **{f"service[{i}]": row for i, row in enumerate(profile.service)},
        **{f"accuracy[{i}]": row for i, row in enumerate(profile.accuracy)},
        **{f"energy_mj[{i}]": row for i, row in enumerate(profile.energy_mj)},
        **{f"confidence[{i}]": row for i, row in enumerate(profile.confidence)},
        **{f"concurrent[{i}]": row for i, row in enumerate(profile.concurrent)},
    }
    return {key: figure for key, figure in named.items() if figure is not None}


def _check_service(service: Service | Concurrent, file: Path, key: str) -> None:
    if len(service.p) != len(service.ms) or not service.p:
        raise ConfigError(
            f"{len(service.p)} probabilities and {len(service.ms)} times",
            file=file,
            key=f"{key}.p",
            cure="Give one time per probability",
        )
    rising = all(a < b for a, b in zip(service.p, service.p[1:], strict=False))
    if not rising or service.p[0] < 0 or service.p[-1] > 1:
        raise ConfigError(
            "probabilities must increase within [0, 1]", file=file, key=f"{key}.p", cure="Sort them"
        )
    if service.ms[0] <= 0 or any(a > b for a, b in zip(service.ms, service.ms[1:], strict=False)):
        raise ConfigError(
            "quantiles must be positive and never decrease",
            file=file,
            key=f"{key}.ms",
            cure="Check their order",
        )
    if service.batch < 1 or service.exit < 0:
        raise ConfigError("batch starts at 1 and exit at 0", file=file, key=key, cure="Correct the numbers")


def _check_coverage(profile: HwProfile, file: Path) -> None:
    keys = [(service.exit, service.batch) for service in profile.service]
    if keys != sorted(set(keys)):
        raise ConfigError(
            "rows must be sorted by exit, then batch, each once", file=file, key="service", cure="Sort them"
        )
    wanted, found = set(range(profile.exits)), {exit_ for exit_, batch in keys if batch == 1}
    if not wanted or found != wanted:
        raise ConfigError(
            f"exits {sorted(wanted)} by accuracy, {sorted(found)} with a service time at batch 1",
            file=file,
            key="service",
            cure="Give every exit an accuracy and a row with batch = 1",
        )


def _check_sources(profile: HwProfile, file: Path) -> None:
    for key, figure in figures(profile).items():
        if not figure.source.strip():
            raise ConfigError(
                "a figure without a source",
                file=file,
                key=f"{key}.source",
                cure="Say where it comes from: a publication, a run folder, or the reasoning of an assumption",
            )


def _check_confidence(curve: Confidence, file: Path, key: str) -> None:
    shapes = {len(curve.threshold), len(curve.kept_frac), len(curve.accuracy)}
    rising = all(a < b for a, b in zip(curve.threshold, curve.threshold[1:], strict=False))
    falling = all(a >= b for a, b in zip(curve.kept_frac, curve.kept_frac[1:], strict=False))
    within = all(0 <= x <= 1 for row in (curve.threshold, curve.kept_frac, curve.accuracy) for x in row)
    if len(shapes) != 1 or not curve.threshold or not rising or not falling or not within:
        raise ConfigError(
            "thresholds must increase and shares kept never increase, one share and one accuracy per threshold",
            file=file,
            key=key,
            cure="Give three rows of one length, all within [0, 1]",
        )


def _check_energy(profile: HwProfile, file: Path) -> None:
    keys = [(row.exit, row.batch, row.net) for row in profile.energy_mj]
    if keys != sorted(set(keys)) or any(not 0 <= e < profile.exits or b < 1 for e, b, _ in keys):
        raise ConfigError(
            "rows must be sorted by exit, batch, net, each once, of exits that have an accuracy",
            file=file,
            key="energy_mj",
            cure="Sort them",
        )
    exits = [curve.exit for curve in profile.confidence]
    if exits != sorted(set(exits)) or any(not 0 <= e < profile.exits for e in exits):
        raise ConfigError(
            "one row per exit, sorted, of exits that have an accuracy",
            file=file,
            key="confidence",
            cure="Sort them",
        )
    watts = {name: getattr(profile, name) for name in ("active_w", "idle_w")}
    kinds = {name: q.metered.kind for name, q in watts.items() if q is not None and q.metered is not None}
    kinds |= {f"energy_mj[{i}]": row.metered.kind for i, row in enumerate(profile.energy_mj)}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        raise ConfigError(
            f"metered differently: {said}",
            file=file,
            key="metered",
            cure="Keep figures of one kind in a profile: only such may be subtracted from each other",
        )
