"""From a run to what its tables are made of: the journal of each trial is gone through once."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np

from testbed.measure.clocksync import fit_clocks
from testbed.measure.pace import Paces
from testbed.report.cancels import Cancels
from testbed.report.columns import Rows, in_analysis
from testbed.report.meters import readings
from testbed.report.policies import Material, contended_boards
from testbed.report.steps import StepRows, chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.model.ids import BoardId
    from testbed.store.reader import Attempt, Run


def materials(run: Run) -> list[Material]:
    """What a run holds of each policy, in the experiment's order."""
    order = list(dict.fromkeys([*run.header.policies, *(a.start.policy for a in run.trials)]))
    by_policy = {name: [a for a in run.trials if a.start.policy == name] for name in order}
    return [_material(name, attempts) for name, attempts in by_policy.items() if attempts]


def _material(policy: str, attempts: Sequence[Attempt]) -> Material:
    clocks = tuple(fit_clocks(attempt.probes) for attempt in attempts)
    boards = {facts.id: facts for attempt in attempts for facts in attempt.boards}
    crowded = frozenset(contended_boards(attempts))
    rows, steps, paces, cancels = Rows(), StepRows(boards, crowded), Paces(), Cancels()
    worked: list[frozenset[BoardId]] = []
    stamps: list[dict[tuple[BoardId, int], array[int]]] = []
    for attempt, book in zip(attempts, clocks, strict=True):
        started: set[BoardId] = set()
        ends: dict[tuple[BoardId, int], array[int]] = {}
        for records in chunks(attempt.records):
            for step in (step for record in records for step in record.steps):
                if step.started is not None:
                    started.add(step.board)
                if step.finished is not None and book.fits:
                    ends.setdefault((step.board, step.boot), array("q")).append(step.finished)
            counted = list(in_analysis(attempt, records))
            rows.add(attempt, counted)
            steps.add(counted, book)
            cancels.add(counted)
            paces.add(step for record in counted for step in record.steps)
        worked.append(frozenset(started))
        stamps.append(ends)
    return Material(
        policy=policy,
        attempts=tuple(attempts),
        clocks=clocks,
        readings=tuple(readings(a, book) for a, book in zip(attempts, clocks, strict=True)),
        boards=boards,
        contended=crowded,
        columns=rows.columns(),
        steps=steps.steps(),
        paces=paces.errors(),
        cancels=cancels.rows(policy),
        worked=tuple(worked),
        stamps=tuple(
            {key: np.asarray(ends, dtype=np.int64) for key, ends in each.items()} for each in stamps
        ),
    )
