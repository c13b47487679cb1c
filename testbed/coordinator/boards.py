"""From a lab file to drivers: what each is built from, made from its kind's entry point; nothing is contacted."""

from __future__ import annotations

import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from testbed.coordinator.state import BoardSetup
from testbed.errors import ConfigError, did_you_mean
from testbed.model.lab import BoardFacts, BoardSpec, ModelFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.coordinator.labfile import LabFile
    from testbed.model.ids import BoardId, ModelId
    from testbed.model.profile import HwProfile
    from testbed.ports import CheckableBoard


def board_specs(
    lab: LabFile,
    models: Mapping[ModelId, ModelFiles],
    profiles: Callable[[str, ModelId], HwProfile | None],
    state: Path,
    seed: int,
) -> list[BoardSpec]:
    """What each driver is built from.

    Args:
        models: everything the experiment's catalogue offers.
        profiles: looks up (profile folder, model).

    Raises:
        ConfigError: a board names a model the catalogue does not have, or a table stands for several boards.
    """
    for name, (table, _) in lab.boards.items():
        if table.count > 1:
            raise ConfigError(
                f"{table.count} boards of one table exist in virtual time only",
                file=lab.file,
                key=f"boards.{lab.tables[name]}.count",
                cure="Give each device a table of its own, or play it with --virtual-time",
            )
    specs = []
    for index, (name, (table, options)) in enumerate(lab.boards.items()):
        for model in table.models:
            if model not in models:
                raise ConfigError(
                    f"no model {model!r}",
                    file=lab.file,
                    key=f"boards.{name}.models",
                    cure=did_you_mean(model, models),
                )
        known = {}
        for model in table.models if table.profiles is not None else ():
            profile = profiles(table.profiles or "", model)
            if profile is not None:
                known[model] = profile
        specs.append(
            BoardSpec(
                id=name,
                kind=table.kind,
                site=table.site,
                options=options,
                file=lab.file,
                models={model: models[model] for model in table.models},
                profiles=known,
                resident=table.resident,
                memory_bytes=table.memory_bytes,
                state=state / name,
                seed=seed * 1000 + index,
                fence=time.time_ns(),
            )
        )
    return specs


def bare_boards(lab: LabFile) -> dict[BoardId, CheckableBoard]:
    """A lab's boards to ask them who they are, not to open them: built without models.

    Raises:
        ConfigError: unknown kind, or options the driver refuses.
    """
    bare = {
        name: (msgspec.structs.replace(table, models=(), resident=None), options)
        for name, (table, options) in lab.boards.items()
    }
    specs = board_specs(msgspec.structs.replace(lab, boards=bare), {}, lambda _f, _m: None, Path(), 0)
    return {spec.id: build_board(spec) for spec in specs}


def build_board(spec: BoardSpec) -> CheckableBoard:
    """Make one board from its kind's entry point; nothing is contacted yet.

    Raises:
        ConfigError: unknown kind, or options the driver refuses.
    """
    kinds = {point.name: point for point in entry_points(group="testbed.boards")}
    if spec.kind not in kinds:
        raise ConfigError(
            f"no driver for kind {spec.kind!r}",
            file=spec.file,
            key=f"boards.{spec.id}.kind",
            cure=did_you_mean(spec.kind, kinds) or "Install the package again: no driver is registered",
        )
    board: CheckableBoard = kinds[spec.kind].load()(spec)
    return board


def board_setups(lab: LabFile, facts: Mapping[BoardId, BoardFacts]) -> list[BoardSetup]:
    """What a fresh core is told of a lab's boards: the lab file, then what the boards said of themselves."""
    return [
        BoardSetup(
            id=name,
            kind=table.kind,
            site=table.site,
            memory_bytes=table.memory_bytes or (facts[name].memory_bytes if name in facts else None),
            cores=table.cores,
            price_per_s=table.price_per_s,
        )
        for name, (table, _) in lab.boards.items()
    ]
