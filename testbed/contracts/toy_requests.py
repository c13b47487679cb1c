"""Requests for the toy lab: how they come, stand and end, and how much of them there was lately."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.contracts.toy_models import TASK
from testbed.model.action import Answer, Infer, Reject
from testbed.model.execution import Step
from testbed.model.ids import HOST
from testbed.model.placement import Demand
from testbed.model.request import Outcome, Request
from testbed.units import MS, Ns, S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.model.ids import ActionId


class ToyCase:
    """Implements ``CaseView``."""

    def __init__(self, request: Request) -> None:
        """Nothing told yet."""
        self.request = request
        self.steps: list[Step] = []
        self.in_flight: dict[ActionId, Infer] = {}
        self.outcome: Outcome | None = None
        self.answer: Answer | None = None
        self.reject: Reject | None = None
        self.answered: Ns = 0


class ToyEnd(Struct, frozen=True, kw_only=True):
    """How a request ended, once all that was ordered for it has settled; implements ``Closed``."""

    request: Request
    outcome: Outcome
    steps: tuple[Step, ...]
    answered: Ns
    answer: Answer | None = None
    reject: Reject | None = None


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
