"""Policies of a campaign: found by name, given what they may know."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from testbed.campaign.loss.calibration import lossy_scores, way_of
from testbed.errors import ConfigError, PolicyError, did_you_mean
from testbed.model.profile import ProfileBook
from testbed.policy import PolicySettings
from testbed.policy.confidence import calibrate
from testbed.policy.thresholds import ThresholdTable, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from testbed.campaign.data import Data
    from testbed.campaign.spec import Campaign
    from testbed.coordinator.labfile import LabFile
    from testbed.model.ids import ModelId, TaskId
    from testbed.model.request import Request
    from testbed.ports import Policy

POLICY_GROUP = "testbed.policies"


def check_policies(campaign: Campaign) -> None:
    """Refuse a policy that nobody registered, before any board is contacted.

    Raises:
        ConfigError: with a did-you-mean.
    """
    known = entry_points(group=POLICY_GROUP).names
    for name in campaign.policies:
        policy = campaign.registered.get(name, name)
        if policy not in known:
            raise ConfigError(
                f"no policy {policy!r}", file=campaign.file, key="policies", cure=did_you_mean(policy, known)
            )


def make_policy(
    name: str,
    options: dict[str, Any],
    lab: LabFile,
    profiles: ProfileBook,
    thresholds: ThresholdTable | None,
    seed: int,
    truth: Callable[[Request], int | None] | None = None,
) -> Policy:
    """A fresh policy for one trial.

    Raises:
        ConfigError: nobody registered it, it refuses its options, or it lacks something it needs.
    """
    points = {point.name: point for point in entry_points(group=POLICY_GROUP)}
    if name not in points:
        raise ConfigError(f"no policy {name!r}", key="policies", cure=did_you_mean(name, points))
    sites: dict[str, tuple[str, ...]] = {}
    for board, (table, _) in lab.boards.items():
        sites[table.site] = (*sites.get(table.site, ()), board)
    policy: Policy = points[name].load()(
        PolicySettings(
            seed=seed,
            options=options,
            thresholds=thresholds,
            sites=sites,
            models={board: table.models for board, (table, _) in lab.boards.items()},
            profiles=profiles,
            truth=truth,
        )
    )
    return policy


def check_options(
    campaign: Campaign,
    lab: LabFile,
    thresholds: ThresholdTable | None,
    truth: Callable[[Request], int | None],
) -> None:
    """Build every policy once, so that none refuses its options when others have been played for hours.

    Before any board is contacted, so without profiles: some are measured only then.

    Raises:
        ConfigError: an option that does not exist or cannot be, or a policy that lacks something; with file and key.
        PolicyError: building one failed otherwise, which is that policy's doing.
    """
    for name in campaign.policies:
        options, policy = campaign.options.get(name, {}), campaign.registered.get(name, name)
        try:
            make_policy(policy, options, lab, ProfileBook({}), thresholds, campaign.seed, truth)
        except ConfigError as error:
            table = f"policies.{name}.options" if name in campaign.registered else f"options.{name}"
            key = table + error.key.removeprefix("options") if error.key.startswith("options") else "policies"
            raise ConfigError(error.message, file=campaign.file, key=key, cure=error.cure) from error
        except Exception as error:
            text = f"policy {name!r} cannot be built without profiles: {type(error).__name__}: {error}"
            raise PolicyError(text, cure="Read settings.profiles when decide is called") from error


def calibrated(campaign: Campaign, lab: LabFile, data: Data) -> ThresholdTable | None:
    """Confidence thresholds for every pair of an edge model and the best data-centre model of its task.

    ``None`` where there is no pair, or no request asks for an accuracy. Uses the calibration sets only.
    """
    table: ThresholdTable | None = None
    for task in data.tasks:
        rows = _calibrated(task, campaign, lab, data)
        if rows is not None:
            table = rows if table is None else merge(table, rows)
    return table


def _calibrated(task: TaskId, campaign: Campaign, lab: LabFile, data: Data) -> ThresholdTable | None:
    one = data.tasks[task]
    on_site: dict[str, set[str]] = {"edge": set(), "dc": set()}
    for board, _ in lab.boards.values():
        on_site[board.site].update(model for model in board.models if model in one.models)
    needs = [need for need in campaign.workload.needs if (need.task or campaign.task) == task]
    targets = sorted({need.min_accuracy for need in needs if need.min_accuracy is not None})
    if not on_site["edge"] or not on_site["dc"] or not targets:
        return None
    labels = one.calibration_labels()
    last = {model: one.calibration_scores(model)[-1] for model in sorted(on_site["dc"])}
    backend = max(last, key=lambda model: float((last[model].argmax(axis=1) == labels).mean()))
    edge = sorted(on_site["edge"])

    def rows(frontends: Mapping[ModelId, Sequence[NDArray[np.float32]]], lost_frac: float) -> ThresholdTable:
        return calibrate(
            task,
            labels=labels,
            frontends=frontends,
            backend=backend,
            backend_scores=last[backend],
            targets=targets,
            z=campaign.calibration.z,
            metric=campaign.calibration.metric,
            tempered=campaign.calibration.tempered,
            lost_frac=lost_frac,
            sha256={model: data.models[model].sha256 for model in sorted(on_site["edge"] | {backend})},
            dataset_sha256=one.catalog.sets["calibration"].sha256,
        )

    table = rows({model: one.calibration_scores(model) for model in edge}, 0.0)
    if campaign.calibration.lost_fracs:
        way = way_of(lab)
        for lost_frac in sorted(campaign.calibration.lost_fracs):
            found = lossy_scores(one, edge, lost_frac, way, campaign.seed)
            table = merge(table, rows(found, lost_frac))
    return table
