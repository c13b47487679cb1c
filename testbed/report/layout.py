"""The tables of a report as plain text cells; terminal and page only draw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.model.execution import CANCEL_STAGES
from testbed.report import words
from testbed.report.energy_tables import meters, work
from testbed.report.run_tables import boards, clocks, damage, pace, trials
from testbed.report.table import Table

if TYPE_CHECKING:
    from testbed.report.rows import Analysis, PairRow

_METRICS = {
    "p99_ms": ("p99 response", "ms", 1.0),
    "mean_ms": ("mean response", "ms", 1.0),
    "accuracy": ("accuracy", "points", 100.0),
}


def main_tables(analysis: Analysis) -> tuple[Table, ...]:
    """What the terminal shows: targets, policies, differences, cancelled orders, pace."""
    made = [
        targets(analysis),
        policies(analysis),
        differences(analysis),
        cancels(analysis),
        pace(analysis),
    ]
    return tuple(table for table in made if table.body)


def detail_tables(analysis: Analysis) -> tuple[Table, ...]:
    """What only the page shows: boards, meters, clocks, trials and damage."""
    made = [
        boards(analysis),
        work(analysis),
        meters(analysis),
        clocks(analysis),
        trials(analysis),
        damage(analysis),
    ]
    return tuple(table for table in made if table.body)


def targets(analysis: Analysis) -> Table:
    """One row per policy and accuracy asked for."""
    body = [
        (
            row.policy,
            words.percent(t.target),
            str(t.requests),
            words.share(t.accuracy),
            t.verdict,
            words.percent(t.offload_frac),
            words.number(t.p50_ms),
            words.number(t.p95_ms),
            words.percent(t.deadline_miss_frac),
            words.energy(t.energy),
        )
        for row in analysis.policies
        for t in row.targets
    ]
    why: dict[str, list[str]] = {}
    for row in analysis.policies:
        for t in row.targets:
            if t.energy.net_mj is None:
                why.setdefault(t.energy.reason, []).append(f"{row.policy} {words.percent(t.target)}")
    return Table(
        title="Per policy and accuracy target",
        head=(
            "policy",
            "target",
            "requests",
            "achieved",
            "verdict",
            "offloaded",
            "p50 ms",
            "p95 ms",
            "missed",
            "net a request",
        ),
        body=tuple(body),
        remarks=(
            *(f"no energy of {', '.join(dict.fromkeys(names))}: {reason}" for reason, names in why.items()),
            "achieved: right among those answered, 95 % interval; offloaded: answer rests on a data-centre step; "
            "p50, p95: response time from the intended arrival; missed: no answer by the deadline; net a request: "
            "energy above idle, attributed by a regression over the run, ± standard uncertainty.",
        ),
    )


def policies(analysis: Analysis) -> Table:
    """One row per policy."""
    remarks = [
        f"{row.policy}: p99 {_why(row.p99_ms.value, row.p99_ms.reason)}"
        for row in analysis.policies
        if row.p99_ms.reason
    ]
    by_text: dict[str, list[str]] = {}
    for row in analysis.policies:
        text = f"energy covers {row.energy.scope} ({row.energy.origin})"
        if row.energy.net_mj is None:
            text = f"no energy: {row.energy.reason}"
        by_text.setdefault(text, []).append(row.policy)
    remarks += [f"{', '.join(names)}: {text}" for text, names in by_text.items()]
    if any(row.energy.origin == "emulated" for row in analysis.policies):
        remarks.append("the uncertainty of emulated energy is that of the instrument only")
    body = [
        (
            row.policy,
            words.counts(row.outcomes),
            words.counts(row.answers),
            words.estimated(row.p99_ms),
            words.percent(row.deadline_miss_frac),
            words.energy(row.energy),
            words.number(row.energy.gross_mj),
            row.response_origin or words.NONE,
            words.number(row.lateness_p99_ms),
        )
        for row in analysis.policies
    ]
    return Table(
        title="Per policy",
        head=(
            "policy",
            "outcomes",
            "answered by",
            "p99 ms",
            "missed",
            "net a request",
            "gross mJ",
            "origin",
            "lateness p99 ms",
        ),
        body=tuple(body),
        names=3,
        remarks=(
            *remarks,
            "lateness: seen minus intended arrival, our own; it is inside every response time",
        ),
    )


def differences(analysis: Analysis) -> Table:
    """Paired differences between policies."""
    reasons = dict.fromkeys(row.difference.reason for row in analysis.pairs if row.difference.value is None)
    return Table(
        title="Paired differences (same arrivals, same inputs)",
        head=("first - second", "metric", "difference", "pairs", "p (McNemar)"),
        body=tuple(_difference(row) for row in analysis.pairs),
        names=2,
        remarks=tuple(f"withheld: {reason}" for reason in reasons if reason),
    )


def _difference(row: PairRow) -> tuple[str, ...]:
    name, unit, scale = _METRICS[row.metric]
    return (
        f"{row.first} - {row.second}",
        name,
        words.estimated(row.difference, unit, scale=scale, signed=True),
        str(row.difference.n),
        words.probability(row.p_value),
    )


def cancels(analysis: Analysis) -> Table:
    """What became of orders that were called off."""
    body = [
        (
            row.policy,
            row.board,
            *(str(row.stages[stage]) for stage in CANCEL_STAGES),
            words.number(row.vain_s),
            words.percent(row.vain_frac),
        )
        for row in analysis.cancels
    ]
    return Table(
        title="Cancelled orders: how far they were",
        head=(
            "policy",
            "board",
            "not sent",
            "not started",
            "running",
            "too late",
            "in vain s",
            "of its work",
        ),
        body=tuple(body),
        names=2,
        remarks=(
            "in vain: time of those that were too late; their energy is in the board's, and so in the policy's",
        ),
    )


def _why(value: float | None, reason: str) -> str:
    return f"withheld: {reason}" if value is None else f"without interval: {reason}"
