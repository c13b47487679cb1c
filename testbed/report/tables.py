"""From a run to the rows of its report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from testbed.measure.clocksync import ClockBook
from testbed.measure.environment import contended, told
from testbed.report.attributed import board_work, target_energies, work_rows
from testbed.report.audits import rtl_audit
from testbed.report.energies import energy_row
from testbed.report.materials import materials
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
from testbed.report.steps import NOT_KNOWN
from testbed.store.schema import LOSSES_MODELLED, NOTHING_SENT_AGAIN
from testbed.units import S, to_ms, to_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from testbed.store.reader import Attempt, Run

CURVE_POINTS = 400
STRIP_S = 0.5
STRIP_BARS = 20_000
STRIP_BOARDS = 24

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
        cancels=tuple(row for m in found for row in m.cancels),
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
    for attempt, book, stamps in zip(material.attempts, material.clocks, material.stamps, strict=True):
        for board in sorted({name for name, _ in book.fits}):
            fits = [fit for (name, _), fit in sorted(book.fits.items()) if name == board]
            segments = [segment for fit in fits for segment in fit.segments]
            bounds = _bounds(stamps, book, board)
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


def _bounds(
    stamps: Mapping[tuple[str, int], NDArray[np.int64]], book: ClockBook, board: str
) -> NDArray[np.float64]:
    """Bounds at the board's own stamps, or of the fit where it executed nothing."""
    found = [
        converted[1].astype(np.float64)
        for (name, boot), values in stamps.items()
        if name == board and (converted := book.convert(board, boot, values)) is not None
    ]
    fitted = [float(s.bound) for (name, _), fit in book.fits.items() if name == board for s in fit.segments]
    return np.concatenate(found) if found else np.asarray(fitted)


def _board_rows(material: Material) -> Iterable[BoardRow]:
    answers = Counter(material.columns.board)
    why = contended_boards(material.attempts)
    steps, executed = material.steps, material.steps.executed
    order = np.argsort(steps.board, kind="stable")
    bounds = np.searchsorted(steps.board[order], np.arange(len(steps.boards) + 1))
    rows = {name: order[bounds[i] : bounds[i + 1]] for i, name in enumerate(steps.boards)}
    nothing = np.empty(0, dtype=np.intp)
    for board in sorted(material.boards):
        facts = material.boards[board]
        own = rows.get(board, nothing)
        done = own[executed[own]]
        started, finished, transfer = steps.started[done], steps.finished[done], steps.transfer[done]
        yield BoardRow(
            policy=material.policy,
            board=board,
            kind=facts.kind,
            site=facts.site,
            origin="measured (contended)" if board in why else facts.origin,
            link_origin=facts.link_origin,
            steps=int(own.size),
            answers=answers.get(board, 0),
            failed=steps.failed.get(board, 0),
            queueing_ms=_quantile_ms(started - steps.arrival[done]),
            transfer_ms=_quantile_ms(transfer[transfer != NOT_KNOWN]),
            service_ms=_quantile_ms(finished - started),
            service_p99_ms=_quantile_ms(finished - started, 0.99),
            note=why.get(board, ""),
        )


def _quantile_ms(values: NDArray[np.int64], q: float = 0.5) -> float | None:
    return to_ms(float(np.quantile(values, q))) if values.size else None


def _curve(material: Material) -> Curve:
    values = material.columns.response_ms[material.columns.answered]
    points = np.quantile(values, np.linspace(0, 1, CURVE_POINTS))
    return Curve(policy=material.policy, ms=tuple(points.tolist()))


def _strip(material: Material) -> Strip | None:
    """A short stretch from the middle of the load."""
    steps = material.steps
    done = np.flatnonzero(steps.executed)
    if not done.size:
        return None
    arrival = steps.arrival[done]
    begin = int(np.sort(arrival)[done.size // 2])
    shown = done[(arrival >= begin) & (arrival < begin + round(STRIP_S * S))][:STRIP_BARS]
    bars = tuple(
        Bar(
            board=steps.boards[steps.board[i]],
            request=int(steps.request[i]),
            arrival_s=to_s(int(steps.arrival[i]) - begin),
            start_s=to_s(int(steps.started[i]) - begin),
            end_s=to_s(int(steps.finished[i]) - begin),
            answered_s=to_s(int(steps.answered[i]) - begin),
        )
        for i in shown
    )
    names = tuple(sorted(material.boards))
    if len(names) > STRIP_BOARDS:  # no plot has room for a thousand lanes
        names = names[:: -(-len(names) // STRIP_BOARDS)]
        bars = tuple(bar for bar in bars if bar.board in names)
    return Strip(policy=material.policy, seconds=STRIP_S, boards=names, bars=bars)


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
    yield from rtl_audit(run.trials)
    texts = {note.text for a in run.trials for note in a.notes}
    yield from (text for text in (LOSSES_MODELLED, NOTHING_SENT_AGAIN) if text in texts)
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
