"""Requests for the toy lab, and how much of them there was lately."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from testbed.contracts.toy_models import TASK
from testbed.model.ids import HOST
from testbed.model.placement import Demand
from testbed.model.request import Request
from testbed.units import MS, Ns, S

if TYPE_CHECKING:
    from collections.abc import Sequence


def stream(
    count: int,
    every: Ns,
    *,
    slack: Ns | None = 200 * MS,
    first: int = 1,
    start: Ns = 0,
    task: str = TASK,
    group: str | None = None,
    source: str = HOST,
    min_accuracy: float | None = None,
    allow_degraded: bool = False,
) -> list[Request]:
    """Evenly spaced requests.

    Args:
        every: from one arrival to the next [ns]. slack: from arrival to deadline [ns], or ``None``.
        first: identifier of the first, and its sample.
    """
    return [
        Request(
            id=first + i,
            task=task,
            sample=first + i,
            arrival=start + i * every,
            deadline=None if slack is None else start + i * every + slack,
            group=group,
            source=source,
            min_accuracy=min_accuracy,
            allow_degraded=allow_degraded,
        )
        for i in range(count)
    ]


def demand(arrivals: Sequence[Request], now: Ns) -> Demand:
    """Rates over the last second, or over what there was of it."""
    recent = [r for r in arrivals if r.arrival >= now - S]
    span = max(min(now, S), 100 * MS) / S
    rate = {task: n / span for task, n in Counter(r.task for r in recent).items()}
    slack: dict[str, Ns] = {}
    group_slack: dict[str, Ns] = {}
    for r in recent:
        if r.deadline is not None:
            wait = r.deadline - r.arrival
            slack[r.task] = min(slack.get(r.task, wait), wait)
            if r.group is not None:
                group_slack[r.group] = min(group_slack.get(r.group, wait), wait)
    groups = Counter(r.group for r in recent if r.group is not None)
    return Demand(
        window=S,
        rate_hz=rate,
        ewma_hz=dict(rate),
        group_hz={group: n / span for group, n in groups.items()},
        slack=slack,
        group_slack=group_slack,
        group_task={r.group: r.task for r in recent if r.group is not None},
    )
