"""Tables of how a run went, as plain text cells: its boards and their clocks, its trials, and what is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.report import words
from testbed.report.table import Table

if TYPE_CHECKING:
    from testbed.report.rows import Analysis


def pace(analysis: Analysis) -> Table:
    """How well virtual boards kept their service times."""
    body = [
        (
            row.policy,
            row.pace.board,
            str(row.pace.n),
            words.number(row.pace.service_p50_ms),
            words.number(row.pace.p50_ms),
            words.number(row.pace.p99_ms),
            words.percent(row.pace.relative_p99_frac),
            "yes" if row.pace.acceptable else "no",
        )
        for row in analysis.paces
    ]
    return Table(
        title="Pace error of virtual boards (actual - asked service time)",
        head=(
            "policy",
            "board",
            "executions",
            "service p50 ms",
            "error p50 ms",
            "error p99 ms",
            "p99 / service",
            "p99 shown",
        ),
        body=tuple(body),
        names=2,
    )


def boards(analysis: Analysis) -> Table:
    """What each board did."""
    body = [
        (
            row.policy,
            row.board,
            row.kind,
            row.site,
            row.origin,
            row.link_origin,
            str(row.steps),
            str(row.answers),
            str(row.failed),
            words.number(row.queueing_ms),
            words.number(row.transfer_ms),
            words.number(row.service_ms),
            words.number(row.service_p99_ms),
        )
        for row in analysis.boards
    ]
    return Table(
        title="Boards: median times of a step",
        head=(
            "policy", "board", "kind", "site", "service is", "link is", "steps", "answers", "failed",
            "queueing ms", "transfer ms", "service ms", "service p99 ms",
        ),
        body=tuple(body),
        names=6,
        remarks=tuple(f"{row.board} under {row.policy}: {row.note}" for row in analysis.boards if row.note),
    )  # fmt: skip


def clocks(analysis: Analysis) -> Table:
    """How well each board's clock was known."""
    body = [
        (
            row.trial,
            row.board,
            str(row.probes),
            str(row.boots),
            str(row.jumps),
            words.number(row.min_rtt_us),
            words.number(row.drift_ppm),
            words.number(row.bound_us),
            words.number(row.worst_bound_us),
        )
        for row in analysis.clocks
    ]
    return Table(
        title="Clocks: how far board stamps can be off",
        head=(
            "trial",
            "board",
            "probes",
            "boots",
            "jumps",
            "min RTT µs",
            "drift ppm",
            "bound p50 µs",
            "bound max µs",
        ),
        body=tuple(body),
        names=2,
    )


def trials(analysis: Analysis) -> Table:
    """How each trial ended."""
    body = [
        (
            row.trial,
            row.policy,
            row.status,
            "yes" if row.counts else "no",
            "; ".join(text for text in (row.reason, row.host_note) if text),
            row.host_use,
            str(row.attempt),
            str(row.block),
            str(row.records),
            str(row.unfinished),
        )
        for row in analysis.trials
    ]
    return Table(
        title="Trials",
        head=(
            "trial",
            "policy",
            "status",
            "counts",
            "remark",
            "host",
            "attempt",
            "block",
            "records",
            "unfinished",
        ),
        body=tuple(body),
        names=6,
    )


def damage(analysis: Analysis) -> Table:
    """What could not be read."""
    return Table(
        title="Damage found in the run folder",
        head=("file", "what", "line"),
        body=tuple((d.file, d.reason, str(d.line) if d.line else "whole") for d in analysis.damage),
        names=2,
    )
