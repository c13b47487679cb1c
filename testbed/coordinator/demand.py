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


STEP: Ns = S // 10
"""What the window moves by: arrivals of one step are counted together, however many they are."""


class _Count:
    """Arrivals of one (task, group) within one step, and the tightest deadline among them."""

    __slots__ = ("n", "slack")

    def __init__(self) -> None:
        self.n = 0
        self.slack: Ns | None = None


class DemandMeter:
    """Counts arrivals per task and group; ``saw`` is O(1), ``read`` scans the steps of the window."""

    def __init__(self) -> None:
        """Start with no history."""
        self._steps: deque[tuple[Ns, dict[tuple[str, str | None], _Count]]] = deque()
        self._step: dict[tuple[str, str | None], _Count] = {}
        self._step_end: Ns = 0
        self._fresh: list[Request] = []
        self._first: Ns | None = None
        self._bin_start: Ns = 0
        self._bin: dict[str, int] = {}
        self._seen: dict[tuple[str, str | None], None] = {}
        self._ewma: dict[str, float] = {}

    def saw(self, now: Ns, request: Request) -> None:
        """Note one arrival; those of a step are counted together when it is over."""
        if now >= self._step_end:
            self._turn(now)
        self._fresh.append(request)

    def read(self, now: Ns) -> Demand:
        """Rates over the window, or over the time since the first arrival if that is shorter."""
        if self._first is None:
            return Demand(window=WINDOW)
        self._turn(now)
        span = to_s(max(min(WINDOW, now - self._first), S))
        tasks: dict[str, int] = dict.fromkeys((task for task, _ in self._seen), 0)
        groups: dict[str, int] = {group: 0 for _, group in self._seen if group is not None}
        slack: dict[str, Ns] = {}
        group_slack: dict[str, Ns] = {}
        group_task: dict[str, str] = {}
        for _, step in self._steps:  # only the slow path reads demand, so this scan is off the critical path
            for (task, group), count in step.items():
                tasks[task] += count.n
                if group is not None:
                    groups[group] += count.n
                    group_task[group] = task
                if count.slack is not None:
                    slack[task] = min(count.slack, slack.get(task, count.slack))
                    if group is not None:
                        group_slack[group] = min(count.slack, group_slack.get(group, count.slack))
        return Demand(
            window=WINDOW,
            rate_hz={task: n / span for task, n in tasks.items()},
            ewma_hz=dict(self._ewma),
            group_hz={group: n / span for group, n in groups.items()},
            slack=slack,
            group_slack=group_slack,
            group_task=group_task,
        )

    def _count(self) -> None:
        """Count what came since the last time, within the step that is under way."""
        step, before, count = self._step, None, _Count()
        for request in self._fresh:
            key = (request.task, request.group)
            if key != before:
                before, count = key, step.get(key) or step.setdefault(key, _Count())
                self._seen[key] = None
            count.n += 1
            if request.deadline is not None:
                slack = request.deadline - request.arrival
                if count.slack is None or slack < count.slack:
                    count.slack = slack
        self._fresh.clear()

    def _turn(self, now: Ns) -> None:
        """Begin a new step where the last one is over, and let go of what is older than the window."""
        self._count()
        if self._first is None:
            self._first = self._bin_start = now
        if now >= self._step_end:
            for (task, _), count in self._step.items():
                self._bin[task] = self._bin.get(task, 0) + count.n
            self._step = {}
            self._step_end = self._first + ((now - self._first) // STEP + 1) * STEP
            self._steps.append((self._step_end, self._step))
        while self._steps and self._steps[0][0] <= now - WINDOW:
            self._steps.popleft()
        # A long silence decays the average in one step per elapsed second, at most a window's worth.
        elapsed = min((now - self._bin_start) // S, WINDOW // S)
        for _ in range(elapsed):
            for task in dict.fromkeys(task for task, _ in self._seen):
                seen = self._bin.pop(task, 0)
                before = self._ewma.get(task)
                self._ewma[task] = seen if before is None else before + _EWMA_WEIGHT * (seen - before)
        if elapsed:
            self._bin_start += ((now - self._bin_start) // S) * S
