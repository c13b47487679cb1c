"""The campaign file of a study of energy per request against accuracy target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from testbed.coordinator.labfile import read_toml
from testbed.errors import ConfigError
from testbed.model.ids import ModelId, TaskId
from testbed.model.lab import parse_options
from testbed.model.ranges import Seed

if TYPE_CHECKING:
    from pathlib import Path

KIND = "energy"


class TaskSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task, and the accuracies asked for.

    Attributes:
        targets: fractions. shown: those that get a line in the tables; all, if empty.
        samples: size of the test set, where the profiles do not say how sure their accuracies are.
    """

    task: TaskId
    targets: tuple[float, ...]
    shown: tuple[float, ...] = ()
    samples: int | None = None


class BoardSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A type of board: what it can run is what any of these folders of profiles has."""

    name: str
    profiles: tuple[str, ...]


class CascadeSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A backend for what a small rung is not sure of.

    Attributes:
        task: the rungs' task. profiles, model: the backend.
        like_task, like_pairs: frontends and backends of a task of the zoo whose confidences stand in for the rungs'.
    """

    task: TaskId
    profiles: str
    model: ModelId
    like_task: TaskId
    like_pairs: tuple[tuple[ModelId, ModelId], ...]


class EnergyStudy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The campaign file.

    Attributes:
        rates_hz: requests a second to one board. max_utilisation: share of the time it may be busy.
        parity_frac: two boards are alike within this. max_excess: by how much a board's rung may exceed a target below
            all of its rungs, for it to count in a headline there: one large model says little about low targets.
        meter_frac: standard uncertainty of a reading of power.
    """

    schema: int
    kind: str
    name: str
    tasks: tuple[TaskSpec, ...]
    boards: tuple[BoardSpec, ...]
    question: str = ""
    seed: Seed = 1
    rates_hz: tuple[float, ...] = ()
    max_utilisation: float = 0.7
    parity_frac: float = 0.05
    max_excess: float = 0.01
    meter_frac: float = 0.01
    cascade: CascadeSpec | None = None


def read_energy_study(folder: Path, *, seed: int | None = None) -> EnergyStudy:
    """Read and check the file.

    Args:
        seed: kept with the result; nothing here is random.

    Raises:
        ConfigError: names file, key and cure.
    """
    file = folder / "campaign.toml"
    _, raw = read_toml(file)
    study = parse_options(raw, EnergyStudy, file=file, key="")
    names = [board.name for board in study.boards]
    tasks = [task.task for task in study.tasks]
    for key, bad, cure in (
        ("tasks", not tasks or len({*tasks}) < len(tasks), "Name at least one task, each once"),
        ("boards", not names or len({*names}) < len(names), "Name at least one board, each once"),
        ("boards.profiles", not all(board.profiles for board in study.boards), "Name folders of hwprofiles"),
        ("max_utilisation", not 0 < study.max_utilisation <= 1, "Take one in (0, 1]"),
        ("rates_hz", any(rate <= 0 for rate in study.rates_hz), "Take positive ones"),
        ("parity_frac", not 0 < study.parity_frac < 1, "Take one in (0, 1)"),
        ("max_excess", not 0 <= study.max_excess < 1, "Take one in [0, 1)"),
        ("meter_frac", not 0 <= study.meter_frac < 1, "Take one in [0, 1)"),
    ):
        if bad:
            raise ConfigError("cannot be used", file=file, key=key, cure=cure)
    for i, task in enumerate(study.tasks):
        rising = all(a < b for a, b in zip(task.targets, task.targets[1:], strict=False))
        if not task.targets or not rising or not all(0 < target <= 1 for target in task.targets):
            raise ConfigError(
                "not rising within (0, 1]", file=file, key=f"tasks[{i}].targets", cure="Sort them"
            )
        if not {*task.shown} <= {*task.targets}:
            raise ConfigError(
                "not among the targets", file=file, key=f"tasks[{i}].shown", cure="Add them to targets"
            )
        if task.samples is not None and task.samples < 1:
            raise ConfigError(
                "none", file=file, key=f"tasks[{i}].samples", cure="Say how many, or leave it out"
            )
    if study.cascade is not None and study.cascade.task not in tasks:
        raise ConfigError("not among the tasks", file=file, key="cascade.task", cure="Add it to tasks")
    return study if seed is None else msgspec.structs.replace(study, seed=seed)
