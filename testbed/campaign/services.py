"""Measures a model's service time on a board over its link."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from testbed.measure.environment import boot_id, contended, host_use, snapshot
from testbed.model.action import ExitRule
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Quantity, Service
from testbed.units import to_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from testbed.campaign.data import Data
    from testbed.coordinator.inventory import Inventory
    from testbed.model.ids import BoardId, ModelId
    from testbed.model.lab import BoardFacts

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


async def measure_services(
    inventory: Inventory,
    data: Data,
    board: BoardId,
    model: ModelId,
    *,
    batches: Sequence[int],
    repeats: int,
    on_run: Callable[[], None] = lambda: None,
) -> list[Service]:
    """Run a model again and again, one batch at a time, at every exit and batch size.

    Service time is start to finish on the board's own clock, so the link does not enter. Inputs come from
    the test set in turn. What runs on this very host is ``measured (contended)`` where it had to wait for a core.

    Returns:
        one `Service` per (exit, batch), sorted; empty for no repeats.

    Raises:
        BoardError: an execution failed.
    """
    origin = Origin(inventory.facts[board].origin)
    here = on_this_host([inventory.facts[board]])
    before = snapshot(pids=here)
    task = data.of(model)
    exits = data.models[model].exits
    rows = []
    for exit_ in range(exits):
        for batch in batches:
            taken = []
            for run in range(repeats):
                samples = tuple((run * batch + i) % len(task.images) for i in range(batch))
                rule = ExitRule.at(exit_) if exits > 1 else None
                executed = await inventory.execute(board, model, task.inputs(samples), samples, rule)
                taken.append(executed.execution.finished - executed.execution.started)
                on_run()
            if taken:
                rows.append(
                    Service(
                        batch=batch,
                        exit=exit_,
                        p=QUANTILES,
                        ms=tuple(round(to_ms(float(q)), 4) for q in np.quantile(taken, QUANTILES)),
                        origin=origin,
                        source="testbed profile: start to finish on the board's clock, one batch at a time",
                        n=len(taken),
                    )
                )
    if here and contended(host_use(before, snapshot(pids=here))):
        rows = [msgspec.structs.replace(row, origin=Origin.CONTENDED) for row in rows]
    return rows


def on_this_host(boards: Iterable[BoardFacts]) -> tuple[int, ...]:
    """Agents that really execute on this machine: what they wait for a core is contention in a measured time."""
    this = boot_id()
    return tuple(
        int(facts.facts["pid"])
        for facts in boards
        if facts.origin == Origin.MEASURED.value and facts.boot_id == this and "pid" in facts.facts
    )


def profile_of(
    facts: BoardFacts, data: Data, model: ModelId, services: Sequence[Service], *, folder: str = ""
) -> HwProfile:
    """A profile from measured service times and the catalogue's accuracies, those that policies may know beforehand."""
    catalog = data.of(model).catalog
    entry = catalog.model(model)
    return HwProfile(
        schema=1,
        board=folder or facts.id,
        model=model,
        task=catalog.task,
        service=tuple(services),
        accuracy=tuple(
            Quantity(
                value=known.accuracy,
                origin=Origin.MEASURED,
                source=f"catalogue: {known.correct} of {known.samples} calibration images right",
            )
            for known in (exit_.calibration for exit_ in entry.exits)
        ),
        sha256=data.models[model].sha256,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
