"""The report's tables on energy: what meters said, and what executions take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.report import words
from testbed.report.table import Table

if TYPE_CHECKING:
    from testbed.report.rows import Analysis


def work(analysis: Analysis) -> Table:
    """What one execution of each kind takes."""
    body = [
        (
            row.policy,
            row.board,
            row.model,
            str(row.exit),
            str(row.batch),
            row.how or words.NONE,
            str(row.executions),
            words.number(row.mean_ms),
            words.number(row.net_mj),
            words.number(row.sigma_mj, 2),
        )
        for row in analysis.work
    ]
    why = dict.fromkeys(f"{row.board}: {row.reason}" for row in analysis.work if row.reason)
    return Table(
        title="Executions: net energy of one",
        head=("policy", "board", "model", "exit", "batch", "how", "executions", "mean ms", "net mJ", "± mJ"),
        body=tuple(body),
        names=6,
        remarks=(
            *why,
            "integrated: the meter resolves every one; attributed: a regression over the run; ±: standard uncertainty",
        ),
    )


def meters(analysis: Analysis) -> Table:
    """What each meter said over each load."""
    body = [
        (
            row.trial,
            row.board,
            row.meter,
            row.metered or words.NONE,
            "yes" if row.used else "no",
            words.number(row.gross_j),
            words.number(row.net_j),
            words.number(row.sigma_j, 2),
            words.number(row.idle_before_w),
            words.number(row.idle_after_w),
            str(row.samples),
            words.percent(row.covered_frac),
            words.percent(row.gap_frac),
        )
        for row in analysis.meters
    ]
    why = dict.fromkeys(f"{row.board} {row.meter}: {row.reason}" for row in analysis.meters if row.reason)
    return Table(
        title="Meters over the load",
        head=(
            "trial", "board", "meter", "covers", "used", "gross J", "net J", "± J", "idle before W", "idle after W",
            "samples", "covered", "longest gap",
        ),
        body=tuple(body),
        names=5,
        remarks=(
            *why,
            "±: standard uncertainty of the net; what it is made of is in the JSON; longest gap: share of the load "
            "without a sample; of several meters on a board the one that covers most is used",
        ),
    )  # fmt: skip
