"""What a type of board can run for a task, and the cheapest of it that reaches an accuracy.

A **rung** is one model on one board, one request after the other. A **panel** is everything that may be set against
each other: one task, one metric of accuracy, one thing metered.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.campaign.energy.spec import TaskSpec
from testbed.model.origin import Origin, weakest
from testbed.store.profiles import find_folder, load_profiles
from testbed.units import to_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.campaign.energy.spec import BoardSpec
    from testbed.model.profile import HwProfile


class Rung(Struct, frozen=True, kw_only=True):
    """One model on one board.

    Attributes:
        profiles: folder it is from. accuracy: fraction; sigma: its standard uncertainty, ``None`` if not known.
        p50_ms: service time. busy_s: mean time that an inference keeps the board at ``active_w`` [s].
        idle_sigma_w: standard uncertainty of the power at rest, meter included [W].
        gross_mj: of one inference; net_mj: less the power at rest, ``None`` without one.
        gross_frac, net_frac: relative standard uncertainties.
        origin: of gross energy, accuracy and time together. net_origin: with net energy and power at rest too.
        origins: of each: ``accuracy``, ``p50``, ``power``, ``gross``, and what there is of ``rest`` and ``net``.
    """

    profiles: str
    model: str
    accuracy: float
    sigma: float | None
    p50_ms: float
    busy_s: float
    active_w: float
    idle_w: float | None
    idle_sigma_w: float | None
    gross_mj: float
    net_mj: float | None
    gross_frac: float
    net_frac: float | None
    origin: Origin
    net_origin: Origin | None
    origins: dict[str, Origin]


class Panel(Struct, frozen=True, kw_only=True):
    """Boards of one task that are metered alike.

    Attributes:
        kind: what is metered: ``chip``, ``rail``, ``board`` or ``wall``. what: the same in words.
        boards: rungs by name of the board, in order of the file.
    """

    task: TaskSpec
    metric: str
    kind: str
    what: tuple[str, ...]
    boards: dict[str, tuple[Rung, ...]]


def panels(tasks: Sequence[TaskSpec], boards: Sequence[BoardSpec], meter_frac: float) -> list[Panel]:
    """Every panel that has a rung, in order of tasks and boards.

    Args:
        meter_frac: standard uncertainty of a reading of power.

    Raises:
        ConfigError: a folder of profiles that does not exist, or a wrong file in it.
    """
    profiles = {
        board.name: [p for name in board.profiles for p in load_profiles(find_folder(name)).values()]
        for board in boards
    }
    made = []
    for task in tasks:
        rungs: dict[tuple[str, str], dict[str, list[Rung]]] = defaultdict(lambda: defaultdict(list))
        what: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for name, of in profiles.items():
            for profile in of:
                rung = rung_of(profile, task.samples, meter_frac) if profile.task == task.task else None
                if rung is not None and profile.metered is not None:
                    key = (profile.accuracy_metric, profile.metered.kind)
                    rungs[key][name].append(rung)
                    what[key][profile.metered.what] = None
        made += [
            Panel(
                task=task,
                metric=metric,
                kind=kind,
                what=tuple(what[metric, kind]),
                boards={name: tuple(of) for name, of in by_board.items()},
            )
            for (metric, kind), by_board in rungs.items()
        ]
    return made


def rung_of(profile: HwProfile, samples: int | None, meter_frac: float) -> Rung | None:
    """A profile as a rung: last exit, batch of one; ``None`` where power or energy is lacking.

    Source: uncertainty of a difference of readings, JCGM 100:2008 (GUM) 5.1.2, taken as independent.
    """
    gross, net = profile.energy_at(), profile.energy_at(net=True)
    if gross is None or profile.active_w is None:
        return None
    accuracy = profile.accuracy[-1]
    idle = profile.idle_w
    busy_s = gross.value / 1e3 / profile.active_w.value
    sigma = accuracy.sigma
    if sigma is None and samples is not None:
        sigma = math.sqrt(accuracy.value * (1 - accuracy.value) / samples)
    last = profile.exits - 1
    row = next(row for row in profile.service if (row.exit, row.batch) == (last, 1))
    origins = {
        "accuracy": accuracy.origin,
        "p50": row.origin,
        "power": profile.active_w.origin,
        "gross": gross.origin,
    }
    origin = weakest(origins.values())
    origins |= {name: of.origin for name, of in (("rest", idle), ("net", net)) if of is not None}
    idle_sigma_w = None if idle is None else math.hypot(idle.value * meter_frac, idle.sigma or 0.0)
    net_frac = None
    if net is not None and net.value > 0 and idle_sigma_w is not None:
        net_frac = math.hypot(meter_frac * gross.value, idle_sigma_w * busy_s * 1e3) / net.value
    return Rung(
        profiles=profile.board,
        model=profile.model,
        accuracy=accuracy.value,
        sigma=sigma,
        p50_ms=to_ms(profile.service_at()),
        busy_s=busy_s,
        active_w=profile.active_w.value,
        idle_w=None if idle is None else idle.value,
        idle_sigma_w=idle_sigma_w,
        gross_mj=gross.value,
        net_mj=None if net is None else net.value,
        gross_frac=meter_frac,
        net_frac=net_frac,
        origin=origin,
        net_origin=None if net is None or idle is None else weakest(origins.values()),
        origins=origins,
    )


def cheapest(rungs: Iterable[Rung], target: float) -> Rung | None:
    """The rung of least gross energy that reaches the target; of equals the faster one."""
    enough = (rung for rung in rungs if rung.accuracy >= target)
    return min(enough, key=lambda rung: (rung.gross_mj, rung.p50_ms, rung.model), default=None)


def drawn_w(rung: Rung, rate_hz: float) -> float | None:
    """Power of a board that gets so many requests a second and rests in between [W]; ``None`` without a net energy."""
    if rung.net_mj is None or rung.idle_w is None:
        return None
    return rung.idle_w + rate_hz * rung.net_mj / 1e3


def at_rate(rungs: Iterable[Rung], target: float, rate_hz: float, max_utilisation: float) -> Rung | None:
    """The rung with which a board that gets so many requests draws least; ``None`` where none keeps up."""
    drawn = (
        (drawn_w(rung, rate_hz), rung)
        for rung in rungs
        if rung.accuracy >= target and rate_hz * rung.busy_s <= max_utilisation
    )
    known = [(watts, rung) for watts, rung in drawn if watts is not None]
    return min(known, key=lambda pair: (pair[0], pair[1].model))[1] if known else None
