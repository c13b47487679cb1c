"""Energy per request against accuracy target, for types of edge boards, from their hardware profiles.

Needs no lab and plays nothing. What is metered differently, or is of another task, is never set against each other: see
`testbed.campaign.energy.rungs.Panel`, and `testbed.campaign.energy.pairs` for what can be said across.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Struct

from testbed.campaign.energy.cascade import CascadeRow, cascade_rows
from testbed.campaign.energy.pairs import BoundRow, PairRow, bound_rows, pair_rows
from testbed.campaign.energy.rungs import Panel, at_rate, cheapest, drawn_w, panels
from testbed.campaign.energy.spec import KIND, EnergyStudy, read_energy_study
from testbed.model.origin import Origin, weakest
from testbed.resources import root
from testbed.store.profiles import find_folder
from testbed.store.study import Study, write_study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from testbed.campaign.progress import Progress


class EdgeRow(Struct, frozen=True, kw_only=True, tag_field="row", tag="edge"):
    """A board alone at one target, one request after the other: the rung of least gross energy.

    Attributes:
        rungs: how many the board has for the task. model: ``None`` where none reaches the target; figures too, then.
        sigma_mj: standard uncertainty of the gross energy, net_sigma_mj: of the net.
        origin: of accuracy, time and gross energy together. origins: of each figure, by name.
        idle_mj: share of the gross energy that the board at rest would have drawn in the same time.
    """

    task: str
    metered: str
    board: str
    target: float
    rungs: int
    model: str | None = None
    accuracy: float | None = None
    p50_ms: float | None = None
    active_w: float | None = None
    gross_mj: float | None = None
    sigma_mj: float | None = None
    net_mj: float | None = None
    net_sigma_mj: float | None = None
    idle_mj: float | None = None
    origin: Origin | None = None
    origins: dict[str, Origin] = {}


class RateRow(Struct, frozen=True, kw_only=True, tag_field="row", tag="rate"):
    """A board that gets requests of one target at a rate, and rests in between.

    Attributes:
        model: that draws least then; ``None`` where none keeps up or nobody knows the power at rest.
        power_w: of the board; idle_frac: share of it that is power at rest. request_mj: power over rate.
    """

    task: str
    metered: str
    board: str
    target: float
    rate_hz: float
    model: str | None = None
    power_w: float | None = None
    idle_frac: float | None = None
    request_mj: float | None = None
    utilisation: float | None = None
    origin: Origin | None = None


class IdleRow(Struct, frozen=True, kw_only=True, tag_field="row", tag="idle"):
    """Power of a board that waits, least and most among its stacks [W]; assumed ones only where there are no others."""

    task: str
    metered: str
    what: tuple[str, ...]
    board: str
    rungs: int
    idle_low_w: float
    idle_high_w: float
    origin: Origin


Row: TypeAlias = IdleRow | EdgeRow | RateRow | PairRow | BoundRow | CascadeRow


def run_energy(folder: Path, out: Path, *, seed: int | None, progress: Progress) -> Path:
    """Compute the study and write its result.

    Raises:
        ConfigError: the file, or a profile or model it names, is wrong. StoreError: the folder cannot be written.
    """
    study = read_energy_study(folder, seed=seed)
    rows = energy_rows(study, progress)
    used = [name for board in study.boards for name in board.profiles]
    if study.cascade is not None:
        used.append(study.cascade.profiles)
    write_study(
        out,
        Study(
            kind=KIND,
            name=study.name,
            question=study.question,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seed=study.seed,
            spec=msgspec.to_builtins(study),
            models={f"hwprofiles/{name}": _hashes(find_folder(name)) for name in used},
            rows=[msgspec.to_builtins(row) for row in rows],
            figures=figures(rows),
        ),
        source=root(),
    )
    return out


def energy_rows(study: EnergyStudy, progress: Progress) -> list[Row]:
    """All rows: power at rest, boards alone, at a rate, in pairs, across what is metered, with a backend.

    Raises:
        ConfigError: a profile or model that is named does not exist, or is wrong.
    """
    progress.start("profiles", 3)
    found = panels(study.tasks, study.boards, study.meter_frac)
    progress.advance()
    rows: list[Row] = [row for panel in found for row in alone_rows(panel, study)]
    for panel in found:
        rows += pair_rows(panel, study)
    rows += bound_rows(found, study.max_excess)
    progress.advance()
    if study.cascade is not None:
        rows += cascade_rows(study.cascade, found, study.meter_frac)
    progress.done()
    return _headed(rows)


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """Headline: nothing that is assumed is in it, and no two boards that are not matched.

    The row that a figure is read off carries its name in ``headline``.
    """
    found = {}
    for name, worth in HEADLINES.items():
        values = [value for row in rows if (value := worth(row)) is not None]
        if values:
            found[name] = max(values)
    pairs = [row for row in rows if isinstance(row, PairRow) and _counts(row)]
    for alike in ("energy", "p50"):
        found[f"{alike}_parity_levels"] = float(sum(alike in row.parity for row in pairs))
    held = [row for row in pairs if row.one_stack_ratio is not None and row.energy_low is not None]
    if held:
        found["outside_with_one_stack_frac"] = sum(map(_is_outside, held)) / len(held)
    for rate in sorted({row.rate_hz for row in rows if isinstance(row, RateRow)}):
        shares = [
            row.idle_frac
            for row in rows
            if isinstance(row, RateRow)
            and row.rate_hz == rate
            and row.idle_frac is not None
            and row.origin is not Origin.ASSUMED
        ]
        if shares:
            found[f"idle_frac_min_at_{rate:g}_hz"] = min(shares)
    return found


def _counts(row: PairRow | BoundRow) -> bool:
    return row.matched and row.origin is not Origin.ASSUMED


def _is_outside(row: PairRow) -> bool:
    assert row.energy_low is not None
    assert row.energy_high is not None
    assert row.one_stack_ratio is not None
    return not row.energy_low <= row.one_stack_ratio <= row.energy_high


def _energy_ratio(row: Row) -> float | None:
    return row.energy_ratio if isinstance(row, PairRow) and _counts(row) else None


def _power_at_parity(row: Row) -> float | None:
    """Power at work of the one that draws more over the other's, where both answer alike fast."""
    if not isinstance(row, PairRow) or not _counts(row) or "p50" not in row.parity:
        return None
    return max(row.power_ratio, 1 / row.power_ratio)


def _at_least(row: Row) -> float | None:
    return row.at_least if isinstance(row, BoundRow) and _counts(row) else None


HEADLINES: dict[str, Callable[[Row], float | None]] = {
    "energy_ratio_max": _energy_ratio,
    "power_ratio_at_p50_parity_max": _power_at_parity,
    "energy_ratio_at_least_max": _at_least,
}


def _headed(rows: Sequence[Row]) -> list[Row]:
    """The rows; the first one with a headline's largest value carries its name."""
    found = list(rows)
    for name, worth in HEADLINES.items():
        known = [(value, -i) for i, row in enumerate(found) if (value := worth(row)) is not None]
        if known:
            place = -max(known)[1]
            row = found[place]
            assert isinstance(row, PairRow | BoundRow)
            found[place] = msgspec.structs.replace(row, headline=(*row.headline, name))
    return found


def alone_rows(panel: Panel, study: EnergyStudy) -> Iterable[Row]:
    """Every board of a panel by itself: at rest, one request after the other, and at every rate."""
    task, metered = panel.task.task, panel.kind
    for name, rungs in panel.boards.items():
        resting = [(rung.idle_w, rung.origins["rest"]) for rung in rungs if rung.idle_w is not None]
        known = [pair for pair in resting if pair[1] is not Origin.ASSUMED] or resting
        if known:
            levels, origins = zip(*known, strict=True)
            yield IdleRow(
                task=task,
                metered=metered,
                what=panel.what,
                board=name,
                rungs=len(rungs),
                idle_low_w=min(levels),
                idle_high_w=max(levels),
                origin=weakest(origins),
            )
        for target in panel.task.targets:
            yield _edge(panel, name, target)
            for rate in study.rates_hz:
                yield _rate(panel, name, target, rate, study.max_utilisation)


def _edge(panel: Panel, name: str, target: float) -> EdgeRow:
    rungs = panel.boards[name]
    row = EdgeRow(task=panel.task.task, metered=panel.kind, board=name, target=target, rungs=len(rungs))
    rung = cheapest(rungs, target)
    if rung is None:
        return row
    net_frac = rung.net_frac
    return msgspec.structs.replace(
        row,
        model=f"{rung.profiles}/{rung.model}",
        accuracy=rung.accuracy,
        p50_ms=rung.p50_ms,
        active_w=rung.active_w,
        gross_mj=rung.gross_mj,
        sigma_mj=rung.gross_frac * rung.gross_mj,
        net_mj=rung.net_mj,
        net_sigma_mj=None if net_frac is None or rung.net_mj is None else net_frac * rung.net_mj,
        idle_mj=None if rung.net_mj is None else rung.gross_mj - rung.net_mj,
        origin=rung.origin,
        origins=rung.origins,
    )


def _rate(panel: Panel, name: str, target: float, rate_hz: float, max_utilisation: float) -> RateRow:
    row = RateRow(task=panel.task.task, metered=panel.kind, board=name, target=target, rate_hz=rate_hz)
    rung = at_rate(panel.boards[name], target, rate_hz, max_utilisation)
    if rung is None:
        return row
    power_w = drawn_w(rung, rate_hz)
    assert power_w is not None
    assert rung.idle_w is not None
    return msgspec.structs.replace(
        row,
        model=f"{rung.profiles}/{rung.model}",
        power_w=power_w,
        idle_frac=rung.idle_w / power_w,
        request_mj=power_w / rate_hz * 1e3,
        utilisation=rate_hz * rung.busy_s,
        origin=rung.net_origin,
    )


def _hashes(folder: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.toml"))]
