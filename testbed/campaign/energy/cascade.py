"""A small rung on the board and a backend for what it is not sure of: when does the pair need less than a board alone?

The break-even share follows from published energies. How often a rung is sure, nobody published: what a pair of the zoo
needs, the same share of the way from the frontend's accuracy to the backend's, stands in for it (**assumed**).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.campaign.data import TaskData
from testbed.campaign.energy.rungs import Panel, Rung, cheapest, rung_of
from testbed.errors import ConfigError, did_you_mean
from testbed.model.origin import Origin, weakest
from testbed.policy.confidence import Curve, curve
from testbed.policy.metrics import confidences
from testbed.store.profiles import find_folder, load_profiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.campaign.energy.spec import CascadeSpec


class CascadeRow(Struct, frozen=True, kw_only=True, tag_field="row", tag="cascade"):
    """The best pair of a board with the backend at one target.

    Attributes:
        frontend: rung on the board. way: share of the way from its accuracy to the backend's.
        edge_mj: of the board alone, ``None`` where it has no rung for the target. backend_mj: of one request there.
        break_even: share of requests that may travel before the pair needs more than the board alone; ``None`` without
            one, at most 1. break_even_origin: of it.
        offload_low, offload_high: share that travels, least and most among the zoo's pairs: assumed.
        pair_mj: with ``offload_high``: assumed. pays: whether that is less than the board alone; ``None`` without one.
    """

    task: str
    metered: str
    board: str
    target: float
    frontend: str
    way: float
    frontend_mj: float
    backend_mj: float
    edge_mj: float | None
    break_even: float | None
    break_even_origin: Origin
    offload_low: float
    offload_high: float
    pair_mj: float
    pays: bool | None
    origin: Origin = Origin.ASSUMED


def cascade_rows(spec: CascadeSpec, panels: Sequence[Panel], meter_frac: float) -> list[CascadeRow]:
    """The best pair of every board metered like the backend, at every target up to the backend's accuracy.

    Raises:
        ConfigError: the backend has no profile or no energy, or the zoo no such task or model.
    """
    profiles = load_profiles(find_folder(spec.profiles))
    if spec.model not in profiles:
        raise ConfigError(
            f"no profile of {spec.model!r}", key="cascade.model", cure=did_you_mean(spec.model, profiles)
        )
    profile = profiles[spec.model]
    backend = rung_of(profile, None, meter_frac)
    if backend is None or profile.metered is None or profile.task != spec.task:
        raise ConfigError("has no energy for this task", key="cascade.model", cure="Name another model")
    kind = profile.metered.kind
    curves = like_curves(spec)
    return [
        row
        for panel in panels
        if (panel.task.task, panel.metric, panel.kind) == (spec.task, profile.accuracy_metric, kind)
        for target in panel.task.targets
        if target <= backend.accuracy
        for name, rungs in panel.boards.items()
        if (row := _best(panel, name, rungs, target, backend, curves)) is not None
    ]


def like_curves(spec: CascadeSpec) -> list[Curve]:
    """What the zoo's pairs do, on all their labelled images that nothing was trained on.

    Raises:
        ConfigError: no such task or model.
    """
    data = TaskData(spec.like_task)
    labels = np.concatenate([data.calibration_labels(), data.labels])
    found = []
    for pair in spec.like_pairs:
        for name in pair:
            if name not in data.models:
                raise ConfigError(
                    f"no model {name!r}", key="cascade.like_pairs", cure=did_you_mean(name, data.models)
                )
        edge, backend = (
            np.concatenate([data.calibration_scores(name)[-1], data.test_scores(name)[-1]]) for name in pair
        )
        found.append(
            curve(confidences(edge), edge.argmax(axis=1) == labels, backend.argmax(axis=1) == labels, z=0.0)
        )
    return found


def offload_for(found: Curve, way: float) -> float:
    """Least share that has to travel for so much of the way from the frontend's accuracy to the backend's.

    Args:
        way: within [0, 1].
    """
    n = len(found.confidence)
    alone, backend = found.accuracy[-1], found.accuracy[0]
    enough = np.flatnonzero((found.accuracy >= alone + way * (backend - alone) - 1e-12) & found.allowed)
    return 1.0 - int(enough[-1]) / n if len(enough) else 1.0


def _best(
    panel: Panel, name: str, rungs: Sequence[Rung], target: float, backend: Rung, curves: Sequence[Curve]
) -> CascadeRow | None:
    alone = cheapest(rungs, target)
    best: CascadeRow | None = None
    for rung in rungs:
        if rung.accuracy >= target or (best is not None and rung.gross_mj >= best.pair_mj):
            continue
        way = (target - rung.accuracy) / (backend.accuracy - rung.accuracy)
        shares = [offload_for(found, way) for found in curves]
        pair_mj = rung.gross_mj + max(shares) * backend.gross_mj
        if best is not None and pair_mj >= best.pair_mj:
            continue
        break_even = None
        if alone is not None:
            break_even = min(max((alone.gross_mj - rung.gross_mj) / backend.gross_mj, 0.0), 1.0)
        best = CascadeRow(
            task=panel.task.task,
            metered=panel.kind,
            board=name,
            target=target,
            frontend=f"{rung.profiles}/{rung.model}",
            way=way,
            frontend_mj=rung.gross_mj,
            backend_mj=backend.gross_mj,
            edge_mj=None if alone is None else alone.gross_mj,
            break_even=break_even,
            break_even_origin=weakest([rung.origin, backend.origin, *([alone.origin] if alone else [])]),
            offload_low=min(shares),
            offload_high=max(shares),
            pair_mj=pair_mj,
            pays=None if alone is None else pair_mj < alone.gross_mj,
        )
    return best
