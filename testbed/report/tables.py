"""From a run to the rows of its report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from testbed.measure.clocksync import ClockBook, fit_clocks
from testbed.measure.environment import contended, told
from testbed.measure.pace import pace_errors
from testbed.measure.timeline import timelines
from testbed.report.attributed import board_work, target_energies, work_rows
from testbed.report.columns import analysed, columns
from testbed.report.energies import energy_row
from testbed.report.meters import cross_checks, meter_rows, readings
from testbed.report.pairs import pair_rows
from testbed.report.policies import Material, contended_boards, policy_row
from testbed.report.rows import (
    Analysis,
    Bar,
    BoardRow,
    ClockRow,
    CrossRow,
    Curve,
    PaceRow,
    PairRow,
    PolicyRow,
    Strip,
    TrialRow,
)
from testbed.units import S, to_ms, to_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.measure.timeline import Timeline
    from testbed.store.reader import Attempt, Run

CURVE_POINTS = 400
STRIP_S = 0.5

__all__ = ["Analysis", "analyse"]


def analyse(run: Run) -> Analysis:
    """Every figure of a report; a pure function of what the folder holds."""
    found = materials(run)
    work = [board_work(material) for material in found]
    rows = tuple(
        policy_row(material, energy_row(material), target_energies(material, done))
        for material, done in zip(found, work, strict=True)
    )
    pairs = pair_rows(found, rows)
    metered = [
        (a, readings(a, clocks)) for m in found for a, clocks in zip(m.attempts, m.clocks, strict=True)
    ]
    checks = tuple(row for attempt, each in metered for row in cross_checks(attempt, each))
    return Analysis(
        folder=str(run.folder),
        header=run.header,
        footer=run.footer,
        verdict=_verdict(run, rows),
        trials=tuple(_trial_row(attempt) for attempt in run.trials),
        policies=rows,
        pairs=pairs,
        paces=tuple(PaceRow(policy=m.policy, pace=pace) for m in found for pace in m.paces.values()),
        clocks=tuple(row for m in found for row in _clock_rows(m)),
        boards=tuple(row for m in found for row in _board_rows(m)),
        meters=tuple(row for attempt, each in metered for row in meter_rows(attempt, each)),
        crosschecks=checks,
        work=tuple(row for m, done in zip(found, work, strict=True) for row in work_rows(m, done)),
        curves=tuple(_curve(m) for m in found if bool(m.columns.answered.any())),
        strips=tuple(strip for m in found if (strip := _strip(m)) is not None),
        damage=run.damage,
        notes=(*_notes(run, found), *_disagreements(checks)),
        figures=_figures(run, pairs),
    )


def materials(run: Run) -> list[Material]:
    """What a run holds of each policy, in the experiment's order."""
    order = list(dict.fromkeys([*run.header.policies, *(a.start.policy for a in run.trials)]))
    by_policy = {name: [a for a in run.trials if a.start.policy == name] for name in order}
    return [_material(name, attempts) for name, attempts in by_policy.items() if attempts]


def _material(policy: str, attempts: Sequence[Attempt]) -> Material:
    clocks = tuple(fit_clocks(attempt.probes) for attempt in attempts)
    boards = {facts.id: facts for attempt in attempts for facts in attempt.boards}
    crowded = frozenset(contended_boards(attempts))
    records = [analysed(attempt) for attempt in attempts]
    lines: list[Timeline] = []
    for attempt_records, book in zip(records, clocks, strict=True):
        lines.extend(timelines(attempt_records, book, boards, crowded))
    steps = (step for attempt_records in records for record in attempt_records for step in record.steps)
    return Material(
        policy=policy,
        attempts=tuple(attempts),
        clocks=clocks,
        readings=tuple(readings(a, book) for a, book in zip(attempts, clocks, strict=True)),
        boards=boards,
        contended=crowded,
        columns=columns(attempts),
        lines=tuple(lines),
        paces=pace_errors(steps),
    )


def _verdict(run: Run, rows: Sequence[PolicyRow]) -> str:
    if run.pending or not rows:
        return "incomplete"
    subject = next((row for row in rows if row.policy == run.header.policies[0]), rows[0])
    if any(a.status == "limit_missed" for a in run.trials):
        return "missed"
    return "missed" if any(target.verdict == "missed" for target in subject.targets) else "ok"


def _trial_row(attempt: Attempt) -> TrialRow:
    why = [text for use in attempt.host if (text := contended(use))]
    return TrialRow(
        trial=attempt.start.trial,
        policy=attempt.start.policy,
        attempt=attempt.start.attempt,
        block=attempt.start.block,
        status=attempt.status,
        counts=attempt.counts,
        records=len(attempt.records),
        unfinished=attempt.unfinished,
        reason=attempt.end.reason if attempt.end is not None else "the journal has no end",
        host_note="; ".join(why),
        host_use="; ".join(told(use) for use in attempt.host),
    )


def _clock_rows(material: Material) -> Iterable[ClockRow]:
    for attempt, book in zip(material.attempts, material.clocks, strict=True):
        for board in sorted({name for name, _ in book.fits}):
            fits = [fit for (name, _), fit in sorted(book.fits.items()) if name == board]
            segments = [segment for fit in fits for segment in fit.segments]
            bounds = _bounds(attempt, book, board)
            yield ClockRow(
                trial=attempt.start.trial,
                board=board,
                boots=len(fits),
                jumps=sum(fit.jumps for fit in fits),
                probes=sum(segment.probes for segment in segments),
                min_rtt_us=min(segment.min_rtt for segment in segments) / 1e3,
                drift_ppm=segments[-1].drift_ppb / 1e3,
                bound_us=float(np.median(bounds)) / 1e3,
                worst_bound_us=float(bounds.max()) / 1e3,
            )


def _bounds(attempt: Attempt, book: ClockBook, board: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Bounds at the board's own stamps, or of the fit where it executed nothing."""
    stamps: dict[int, list[int]] = {}
    for record in attempt.records:
        for step in record.steps:
            if step.board == board and step.finished is not None:
                stamps.setdefault(step.boot, []).append(step.finished)
    found = [
        converted[1].astype(np.float64)
        for boot, values in stamps.items()
        if (converted := book.convert(board, boot, np.asarray(values, dtype=np.int64))) is not None
    ]
    fitted = [float(s.bound) for (name, _), fit in book.fits.items() if name == board for s in fit.segments]
    return np.concatenate(found) if found else np.asarray(fitted)


def _board_rows(material: Material) -> Iterable[BoardRow]:
    answers = Counter(material.columns.board)
    why = contended_boards(material.attempts)
    for board in sorted(material.boards):
        facts = material.boards[board]
        lines = [line for line in material.lines if line.board == board]
        done = [line for line in lines if line.service is not None]
        failed = sum(
            step.error is not None
            for attempt in material.attempts
            for record in analysed(attempt)
            for step in record.steps
            if step.board == board
        )
        yield BoardRow(
            policy=material.policy,
            board=board,
            kind=facts.kind,
            site=facts.site,
            origin="measured (contended)" if board in why else facts.origin,
            link_origin=facts.link_origin,
            steps=len(lines),
            answers=answers.get(board, 0),
            failed=failed,
            queueing_ms=_quantile_ms([line.queueing for line in done]),
            transfer_ms=_quantile_ms([line.transfer for line in done]),
            service_ms=_quantile_ms([line.service for line in done]),
            service_p99_ms=_quantile_ms([line.service for line in done], 0.99),
            note=why.get(board, ""),
        )


def _quantile_ms(values: Sequence[int | None], q: float = 0.5) -> float | None:
    found = [value for value in values if value is not None]
    return to_ms(float(np.quantile(found, q))) if found else None


def _curve(material: Material) -> Curve:
    values = material.columns.response_ms[material.columns.answered]
    points = np.quantile(values, np.linspace(0, 1, CURVE_POINTS))
    return Curve(policy=material.policy, ms=tuple(points.tolist()))


def _strip(material: Material) -> Strip | None:
    """A short stretch from the middle of the load."""
    lines = [line for line in material.lines if line.started is not None and line.finished is not None]
    if not lines:
        return None
    arrivals = sorted(line.arrival for line in lines)
    begin = arrivals[len(arrivals) // 2]
    end = begin + round(STRIP_S * S)
    bars = tuple(
        Bar(
            board=line.board,
            request=line.request,
            arrival_s=to_s(line.arrival - begin),
            start_s=to_s(line.started - begin),
            end_s=to_s(line.finished - begin),
            answered_s=to_s(line.answered - begin),
        )
        for line in lines
        if line.started is not None and line.finished is not None and begin <= line.arrival < end
    )
    return Strip(policy=material.policy, seconds=STRIP_S, boards=tuple(sorted(material.boards)), bars=bars)


def _meter_faults(run: Run) -> Iterable[str]:
    """Readings that gave no sample, by meter and kind."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for block in (block for attempt in run.trials for block in attempt.power):
        for fault in block.faults:
            counts[block.board, block.meter, fault.kind] += fault.count
    for (board, meter, kind), count in sorted(counts.items()):
        yield f"Meter {meter} of {board}: {count} readings gave no sample ({kind})."


def _notes(run: Run, materials: Sequence[Material]) -> Iterable[str]:
    if run.footer is None:
        yield "The run has no footer: it is under way, or was killed. What was finished is here."
    if run.pending:
        yield f"Not finished: {', '.join(p.trial for p in run.pending)}. Resume the run to complete it."
    if run.header.git_dirty:
        yield "The source tree had changes that were not committed."
    for board, why in {b: w for m in materials for b, w in contended_boards(m.attempts).items()}.items():
        yield f"{board} shares the coordinator's cores ({why}): its times are measured (contended)."
    dropped = sum(block.dropped for a in run.trials for block in a.power)
    if dropped:
        yield f"Power meters dropped {dropped} samples."
    yield from _meter_faults(run)
    repeated = [m.policy for m in materials if np.unique(m.columns.sample).size < m.columns.size]
    if repeated:
        yield "Inputs repeat within a trial: accuracy intervals count each input once."
    yield (
        "Intervals are at 95 %. Those of quantiles take requests as independent; those of differences draw runs of "
        "neighbouring requests together, since a queue makes them alike."
    )


def _disagreements(checks: Sequence[CrossRow]) -> Iterable[str]:
    for row in checks:
        if not row.agree:
            yield (
                f"{row.trial}: the meters of {row.board} disagree: {row.meters[1]} ({row.metered[1]}) shows "
                f"{row.difference_j:+.3g} J {row.compared} against {row.meters[0]} ({row.metered[0]}), but both "
                f"together are uncertain by {row.sigma_j:.2g} J only (standard uncertainty)."
            )


def _figures(run: Run, pairs: Sequence[PairRow]) -> dict[str, float]:
    """The experiment's own, then the differences that the tables show."""
    found = dict(run.footer.figures) if run.footer is not None else {}
    for row in pairs:
        if row.difference.value is not None:
            found[f"{row.metric}.{row.first}-minus-{row.second}"] = row.difference.value
    return found
