"""From a lab file, a board and a model to a profile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from testbed.campaign.bench import open_boards
from testbed.campaign.data import Data
from testbed.campaign.loop import new_loop
from testbed.campaign.profiling.assemble import assemble
from testbed.campaign.profiling.bench import ProfileBench
from testbed.campaign.profiling.identity import provenance_of
from testbed.campaign.profiling.journal import EnergySeen, Journal
from testbed.campaign.profiling.session import Session
from testbed.campaign.progress import Progress, Silent
from testbed.errors import ConfigError, UnknownKeyError, did_you_mean
from testbed.model.origin import Origin
from testbed.store.provenance import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.campaign.profiling.plan import Plan
    from testbed.coordinator.labfile import LabFile
    from testbed.model.ids import TaskId
    from testbed.model.profile import HwProfile, Provenance
    from testbed.units import Ns


def profile_board(
    lab: LabFile,
    plan: Plan,
    *,
    task: TaskId,
    journal: Path,
    catalog: Path | None = None,
    folder: str = "",
    power_mode: int | None = None,
    resume: bool = False,
    wait: Ns = 0,
    progress: Progress | None = None,
) -> HwProfile:
    """Open one board of a lab and measure what a plan asks for.

    Args:
        task, catalog: where the model and its inputs come from, as in a campaign.
        journal: file that every finished block goes to. resume: go on with what it holds.
        folder: name the profile goes by; default the board's.
        wait: how long to wait for a board that somebody else has.
        power_mode: board option that replaces the lab file's, for boards that have it.

    Raises:
        ConfigError: no such board in the lab, no such model, or a journal begun with something else.
        LinkError, BoardError, MeterError: the board or its meter failed. StoreError: the journal cannot be written.
        LeaseError: somebody else has the board.
    """
    alone = lab.only(plan.board)
    data = Data({task: catalog})
    models = (plan.model, plan.beside) if plan.beside else (plan.model,)
    for key, model in zip(("--model", "--beside"), models, strict=False):
        if model not in data.models:
            raise ConfigError(f"no model {model!r}", key=key, cure=did_you_mean(model, data.models))
    table, options = alone.boards[plan.board]
    if power_mode is not None:
        options = {**options, "power_mode": power_mode}
    alone = msgspec.structs.replace(
        alone, boards={plan.board: (msgspec.structs.replace(table, models=models, resident=None), options)}
    )
    try:
        with Journal(journal, resume=resume) as kept, asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(
                _profile(alone, data, plan, kept, folder or plan.board, wait, progress or Silent())
            )
    except ConfigError as error:
        if power_mode is None or error.key != f"boards.{plan.board}.power_mode":
            raise
        none = isinstance(error, UnknownKeyError)
        message = f"boards of kind {table.kind!r} have none" if none else error.message
        cure = "Leave it out, or name a board that has power modes (testbed doctor lists what can be set)"
        raise ConfigError(message, key="--power-mode", cure=cure) from error


async def _profile(
    lab: LabFile, data: Data, plan: Plan, journal: Journal, folder: str, wait: Ns, progress: Progress
) -> HwProfile:
    purpose = f"profile {plan.model}"
    opened = open_boards(lab, data, seed=plan.seed, progress=progress, purpose=purpose, wait=wait)
    async with opened as (inventory, instruments):
        bench = ProfileBench(inventory, data, plan.board, plan.model)
        lab_sha256 = sha256_of(msgspec.json.encode([lab.boards, lab.meters], enc_hook=str))
        session = Session(
            plan, bench, journal, progress, lambda: instruments.settle(inventory), lab_sha256=lab_sha256
        )
        held = await session.run()
        begun = journal.begun
        assert begun is not None, "a session begins its journal"
        run = f"testbed profile {plan.board} {plan.model}, lab {lab.name}, begun {begun.wall}"
        hashes = {"journal": sha256_of(journal.file)}
        provenance = _metered(provenance_of(bench.facts, run, held, hashes), journal)
        return assemble(
            plan,
            journal.entries,
            folder=folder,
            task=data.models[plan.model].task,
            exits=bench.exits,
            sha256=data.models[plan.model].sha256,
            origin=Origin(bench.facts.origin),
            provenance=msgspec.structs.replace(provenance, temperature_c=session.temperature_c),
        )


def _metered(provenance: Provenance, journal: Journal) -> Provenance:
    """With the meter that the energies are from."""
    for entry in journal.entries:
        if isinstance(entry, EnergySeen) and entry.gross_j is not None:
            meter = f"{entry.meter}: {entry.what}"
            return msgspec.structs.replace(provenance, meter=meter, meter_accuracy=entry.accuracy)
    return provenance
