"""Profiles one model on one board over its link."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING

import msgspec

from testbed import __version__
from testbed.campaign.bench import open_lab
from testbed.campaign.data import Data
from testbed.campaign.loop import new_loop
from testbed.campaign.progress import Progress, Silent
from testbed.campaign.services import measure_services, profile_of
from testbed.coordinator.labfile import LabFile
from testbed.errors import ConfigError, did_you_mean
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Provenance, Quantity
from testbed.units import to_ms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testbed.model.ids import BoardId, ModelId
    from testbed.model.lab import BoardFacts

WARMUP = 10


def profile_board(
    lab: LabFile,
    board: BoardId,
    model: ModelId,
    *,
    task: str,
    catalog: Path | None = None,
    repeats: int = 200,
    batches: Sequence[int] = (1,),
    folder: str = "",
    progress: Progress | None = None,
) -> HwProfile:
    """Open one board of a lab and measure how long a model takes on it.

    Args:
        task, catalog: where the model and its inputs come from, as in a campaign.
        repeats: executions per exit and batch size. batches: batch sizes, ascending.
        folder: name the profile goes by; default the board's.

    Raises:
        ConfigError: no such board in the lab, or no such model. LinkError, BoardError: the board failed.
    """
    if board not in lab.boards:
        raise ConfigError(
            f"no board {board!r}", file=lab.file, key="boards", cure=did_you_mean(board, lab.boards)
        )
    data = Data({task: catalog})
    if model not in data.models:
        raise ConfigError(f"no model {model!r}", key="model", cure=did_you_mean(model, data.models))
    table, options = lab.boards[board]
    alone = msgspec.structs.replace(
        lab.only(board), boards={board: (msgspec.structs.replace(table, models=(model,)), options)}
    )
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(
            _profile(alone, data, board, model, repeats, tuple(batches), folder, progress or Silent())
        )


async def _profile(
    lab: LabFile,
    data: Data,
    board: BoardId,
    model: ModelId,
    repeats: int,
    batches: tuple[int, ...],
    folder: str,
    progress: Progress,
) -> HwProfile:
    purpose = f"profile {model}"
    async with open_lab(lab, data, seed=0, warmup=WARMUP, progress=progress, purpose=purpose) as bench:
        inventory = bench.inventory
        progress.start(f"{model} on {board}", repeats * len(batches) * data.models[model].exits)
        services = await measure_services(
            inventory, data, board, model, batches=batches, repeats=repeats, on_run=progress.advance
        )
        progress.done()
        profile = profile_of(inventory.facts[board], data, model, services, folder=folder)
        # Loaded once when the lab was opened; loading what is resident costs nothing and tells nothing.
        loaded = bench.inventory.loads[board, model]
        return msgspec.structs.replace(
            profile,
            load_ms=Quantity(
                value=round(to_ms(loaded.load), 3),
                origin=Origin(inventory.facts[board].origin),
                source="testbed profile: one load, from the board's disk to ready, on the board's clock",
            ),
            provenance=provenance_of(inventory.facts[board], lab.name, model),
        )


def provenance_of(facts: BoardFacts, lab: str, model: ModelId) -> Provenance:
    """What a board said of itself, as the provenance of what was measured on it.

    Power mode, clocks and the meter's accuracy stay empty: they are for whoever sets and reads them.
    """
    told = facts.facts
    board: dict[str, str] = {n: str(told[n]) for n in ("hostname", "machine", "system", "cpus") if n in told}
    for kind in ("jetson", "gpu"):
        more = told.get(kind)
        if isinstance(more, dict):
            board |= {f"{kind} {name}": str(value) for name, value in more.items() if _plain(value)}
    versions = {"testbed": __version__, "python on the board": str(told.get("python", ""))}
    runtimes = told.get("runtimes")
    for name, runtime in runtimes.items() if isinstance(runtimes, dict) else ():
        if isinstance(runtime, dict):
            versions |= {f"{name} {key}": str(value) for key, value in runtime.items() if _plain(value)}
    return Provenance(
        run=f"testbed profile {facts.id} {model}, lab {lab}, {datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M}Z",
        board={"kind": facts.kind, "boot": facts.boot_id, **board},
        versions={name: text for name, text in versions.items() if text},
        hashes={"agent": facts.agent_sha256},
        meter=str(told.get("meter", "")),
    )


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
