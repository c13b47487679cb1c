"""How much is asked lately, in a sliding window."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from testbed.model.placement import Demand
from testbed.units import Ns, S, to_s

if TYPE_CHECKING:
    from testbed.model.request import Request

WINDOW: Ns = 10 * S
_EWMA_WEIGHT = 0.2
"""Weight of the newest one-second bin in the exponential average."""


class DemandMeter:
    """Counts arrivals per task and group; ``saw`` is O(1) amortised, ``read`` scans the window."""

    def __init__(self) -> None:
        """Start with no history."""
        self._recent: deque[Request] = deque()
        self._tasks: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._first: Ns | None = None
        self._bin_start: Ns = 0
        self._bin: dict[str, int] = {}
        self._ewma: dict[str, float] = {}

    def saw(self, now: Ns, request: Request) -> None:
        """Count one arrival."""
        if self._first is None:
            self._first = self._bin_start = now
        self._roll(now)
        self._recent.append(request)
        self._tasks[request.task] = self._tasks.get(request.task, 0) + 1
        self._bin[request.task] = self._bin.get(request.task, 0) + 1
        if request.group is not None:
            self._groups[request.group] = self._groups.get(request.group, 0) + 1

    def read(self, now: Ns) -> Demand:
        """Rates over the window, or over the time since the first arrival if that is shorter."""
        if self._first is None:
            return Demand(window=WINDOW)
        self._roll(now)
        span = to_s(max(min(WINDOW, now - self._first), S))
        slack: dict[str, Ns] = {}
        group_slack: dict[str, Ns] = {}
        group_task: dict[str, str] = {}
        for request in self._recent:  # only the slow path reads demand, so this scan is off the critical path
            if request.group is not None:
                group_task[request.group] = request.task
            if request.deadline is not None:
                room = request.deadline - request.arrival
                slack[request.task] = min(room, slack.get(request.task, room))
                if request.group is not None:
                    group_slack[request.group] = min(room, group_slack.get(request.group, room))
        return Demand(
            window=WINDOW,
            rate_hz={task: n / span for task, n in self._tasks.items()},
            ewma_hz=dict(self._ewma),
            group_hz={group: n / span for group, n in self._groups.items()},
            slack=slack,
            group_slack=group_slack,
            group_task=group_task,
        )

    def _roll(self, now: Ns) -> None:
        while self._recent and self._recent[0].arrival < now - WINDOW:
            old = self._recent.popleft()
            self._tasks[old.task] -= 1
            if old.group is not None:
                self._groups[old.group] -= 1
        # A long silence decays the average in one step per elapsed second, at most a window's worth.
        elapsed = min((now - self._bin_start) // S, WINDOW // S)
        for _ in range(elapsed):
            for task in self._tasks:
                seen = self._bin.pop(task, 0)
                before = self._ewma.get(task)
                self._ewma[task] = seen if before is None else before + _EWMA_WEIGHT * (seen - before)
        if elapsed:
            self._bin_start += ((now - self._bin_start) // S) * S
