"""Campaign files: what an experiment varies and what it keeps, as TOML.

See ``experiments/00-hello/campaign.toml`` for a commented example.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from testbed.coordinator.labfile import read_toml
from testbed.errors import ConfigError, did_you_mean
from testbed.model.lab import parse_options
from testbed.model.ranges import AtLeastOne, Count, NotNegative, Positive, Seed
from testbed.policy.metrics import Metric
from testbed.workload.mix import Workload
from testbed.zoo.catalog import shipped

CAMPAIGN_SCHEMA = 1
CAMPAIGN_FILE = "campaign.toml"


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How confidence thresholds are chosen.

    Attributes:
        z: one-sided safety margin in standard errors; 0 is the naive rule, 1.645 about 95 %.
        metric: what confidence is read off the scores. tempered: with a temperature fitted on the calibration set.
        lost_fracs: thresholds also for inputs that lost up to these shares on the way, in the packets and with the fill
            of the edge boards' ``lossy`` tables.
    """

    z: NotNegative = 1.645
    metric: Metric = Metric.MAX_SOFTMAX
    tempered: bool = False
    lost_fracs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no share.

        Raises:
            ValueError: a loss outside (0, 1).
        """
        if not all(0.0 < lost < 1.0 for lost in self.lost_fracs):
            raise ValueError("lost_fracs must lie between 0 and 1")


class Measure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What surrounds the load of a trial.

    Attributes:
        idle_s: quiet time before and after, for the idle power.
        probes: clock probes before and after; every_s: and this often in between, eight at a time.
        limit_s: bound on the time after the last arrival.
        warmup: executions per model and board before the first trial; never in a record.
    """

    idle_s: NotNegative = 1.0
    probes: AtLeastOne = 32
    every_s: Positive = 5.0
    limit_s: Positive = 10.0
    warmup: Count = 5


class Campaign(Struct, frozen=True, kw_only=True):
    """One experiment, checked.

    Attributes:
        policies: levels of the one factor of every campaign; the order within a block is drawn from the seed.
        blocks: replicates; each plays all policies on the same arrivals and inputs, other than the next block's.
        options: per policy, handed to it.
        registered: the registered name of every policy that is played under a name of its own.
        task: of needs that name none.
        tasks: folder with models and data of every task; ``None`` for the one shipped for it.
        folder: where the experiment stands; text: the campaign file as it was read.
    """

    name: str
    question: str
    lab: Path
    task: str
    policies: tuple[str, ...]
    workload: Workload
    seed: int
    blocks: int
    calibration: Calibration
    measure: Measure
    options: dict[str, dict[str, Any]]
    tasks: dict[str, Path | None]
    folder: Path
    text: str
    registered: dict[str, str] = {}

    @property
    def file(self) -> Path:
        """The campaign file."""
        return self.folder / CAMPAIGN_FILE


class _Task(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    catalog: str | None = None


class _Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: str
    options: dict[str, Any] = {}


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: int
    name: str
    lab: str
    task: str
    policies: tuple[str, ...] | dict[str, _Variant]
    workload: Workload
    kind: Literal["trials"] = "trials"
    question: str = ""
    seed: Seed = 1
    blocks: int = 1
    calibration: Calibration = Calibration()
    measure: Measure = Measure()
    options: dict[str, dict[str, Any]] = {}
    catalog: str | None = None
    tasks: dict[str, _Task] = {}


def _catalogs(top: _File, folder: Path) -> dict[str, Path | None]:
    """Folder of each task's catalogue, ``None`` for the one that is shipped for it.

    Raises:
        ConfigError: none is shipped for it.
    """
    found: dict[str, Path | None] = {}
    for name, catalog in {top.task: top.catalog, **{n: t.catalog for n, t in top.tasks.items()}}.items():
        found[name] = None if catalog is None else (folder / catalog).resolve()
        if catalog is None:
            try:
                shipped(name)
            except ConfigError as error:
                key = "task" if name == top.task else f'tasks."{name}"'
                raise ConfigError(
                    error.message, file=folder / CAMPAIGN_FILE, key=key, cure=error.cure
                ) from error
    return found


def read_campaign(folder: Path, *, lab: Path | None = None, seed: int | None = None) -> Campaign:
    """Read and check a campaign file.

    Args:
        folder: the experiment's folder. lab, seed: override what the file says.

    Raises:
        ConfigError: names file, key and cure.
    """
    file = folder / CAMPAIGN_FILE
    text, raw = read_toml(file)
    top = parse_options(raw, _File, file=file, key="")

    def refuse(key: str, why: str, cure: str) -> ConfigError:
        return ConfigError(why, file=file, key=key, cure=cure)

    if top.schema != CAMPAIGN_SCHEMA:
        raise refuse(
            "schema", f"schema {top.schema} is not known", f"This version reads schema {CAMPAIGN_SCHEMA}"
        )
    if not top.policies or len(set(top.policies)) != len(top.policies):
        raise refuse("policies", "must name at least one policy, each once", "List each policy once")
    if not top.name.strip() or "/" in top.name:
        raise refuse("name", f"{top.name!r} names no run folder", "Give a name without slashes")
    if seed is not None and seed < 0:
        raise ConfigError("must not be negative", key="--seed", cure="Give 0 or more")
    weights = np.array([need.weight for need in top.workload.needs])
    if weights.size == 0 or weights.sum() <= 0:
        raise refuse(
            "workload.needs", "weights make no distribution", "Give at least one need a positive weight"
        )
    for index, need in enumerate(top.workload.needs):
        if need.min_accuracy is not None and not 0 < need.min_accuracy <= 1:
            raise refuse(
                f"workload.needs[{index}].min_accuracy", "must be in (0, 1]", "Give a fraction, e.g. 0.9"
            )
        if need.task is not None and need.task != top.task and need.task not in top.tasks:
            cure = did_you_mean(need.task, {top.task, *top.tasks})
            raise refuse(f"workload.needs[{index}].task", f"no task {need.task!r}", cure)
    if top.blocks < 1:
        raise refuse("blocks", "must be at least 1", "Ask for at least one block")
    for policy in top.options:
        if policy not in top.policies:
            raise refuse(
                f"options.{policy}",
                "options for a policy that is not played",
                "Add it to policies, or drop it",
            )
    options, registered = dict(top.options), {}
    if isinstance(top.policies, dict):
        for name, variant in top.policies.items():
            if name in options:
                cure = f"Keep policies.{name}.options"
                raise refuse(f"options.{name}", f"options of {name} are given twice", cure)
            options[name], registered[name] = variant.options, variant.policy
    return Campaign(
        name=top.name,
        question=top.question,
        lab=lab if lab is not None else (folder / top.lab).resolve(),
        task=top.task,
        policies=tuple(top.policies),
        workload=top.workload,
        seed=top.seed if seed is None else seed,
        blocks=top.blocks,
        calibration=top.calibration,
        measure=top.measure,
        options=options,
        tasks=_catalogs(top, folder),
        folder=folder,
        text=text,
        registered=registered,
    )
