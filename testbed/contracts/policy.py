"""What every policy promises, as tests: subclass `PolicyContract` and say how one is built.

The tests run on the toy lab: a weak and a strong board at the edge, one in the data centre, in toy time.
"""

from __future__ import annotations

from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from testbed.contracts.elsewhere import Unreachable, other_time, told_elsewhere
from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import TASK, ToyBoard, ToyModel, answer, book, truth
from testbed.contracts.toy_requests import stream
from testbed.errors import ConfigError
from testbed.model.action import Answer, Infer, Reject
from testbed.model.profile import ProfileBook
from testbed.model.view import Health
from testbed.policy import PolicySettings
from testbed.policy.confidence import calibrate
from testbed.policy.thresholds import ThresholdTable
from testbed.units import MS, Ns, S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from testbed.model.request import Request
    from testbed.ports import Policy

TINY = ToyModel(name="tiny", accuracy=(0.8,), parts_ms=(6.0,))
SMALL = ToyModel(name="small", accuracy=(0.88,), parts_ms=(3.0,))
LARGE = ToyModel(name="large", accuracy=(0.95,), parts_ms=(8.0,))
MODELS = (TINY, SMALL, LARGE)
BOARDS = (
    ToyBoard(id="weak", resident=(("tiny", 1),), speed=0.5, up_bytes_per_s=11_520.0, rtt=4 * MS),
    ToyBoard(id="strong", resident=(("small", 1),)),
    ToyBoard(id="far", site="dc", resident=(("large", 2),), speed=4.0, rtt=40 * MS),
)
TARGETS = (0.75, 0.85, 0.9, 0.93, 0.999)
CALIBRATION = range(1_000_000, 1_002_000)


def settings_for(
    boards: Sequence[ToyBoard] = BOARDS,
    models: Sequence[ToyModel] = MODELS,
    *,
    backend: str = "large",
    options: dict[str, Any] | None = None,
) -> PolicySettings:
    """Settings for one of our own policies in a toy lab, confidences calibrated on toy samples."""
    sites: dict[str, tuple[str, ...]] = {}
    for board in boards:
        sites[board.site] = (*sites.get(board.site, ()), board.id)
    return PolicySettings(
        sites=sites,
        models={b.id: tuple(name for name, _ in b.resident) for b in boards},
        profiles=book(boards, models),
        options=options or {},
        thresholds=_calibrated(tuple(models), backend),
    )


@cache
def _calibrated(models: tuple[ToyModel, ...], backend: str) -> ThresholdTable:
    scores = {
        m.name: [
            np.array([answer(m, part, s).scores for s in CALIBRATION]) for part in range(len(m.parts_ms))
        ]
        for m in models
        if m.labels
    }
    return calibrate(
        TASK,
        labels=np.array([truth(s) for s in CALIBRATION]),
        frontends={name: s for name, s in scores.items() if name != backend},
        backend=backend,
        backend_scores=scores[backend][-1],
        targets=TARGETS,
    )


def mixed_requests(count: int, every: Ns, slack: Ns | None = 250 * MS) -> list[Request]:
    """Every target in turn, every other round willing to take less."""
    needs: list[float | None] = [None, *TARGETS]
    return [
        request
        for i in range(count)
        for request in stream(
            1,
            every,
            slack=slack,
            first=i + 1,
            start=(i + 1) * every,
            min_accuracy=needs[i % len(needs)],
            allow_degraded=i // len(needs) % 2 == 0,
        )
    ]


def streams() -> dict[str, list[Request]]:
    """Four kinds of stream."""
    return {
        "calm": mixed_requests(60, 25 * MS),
        "hurried": mixed_requests(60, 25 * MS, slack=45 * MS),
        "patient": mixed_requests(60, 25 * MS, slack=None),
        "crowded": mixed_requests(300, 2 * MS),
    }


class PolicyContract:
    """Subclass it and override `build`, and the boards and models if yours needs others.

    Attributes:
        boards, models: the toy lab. outage: when a board goes and when it is back [ns]; each board in turn.
    """

    boards: tuple[ToyBoard, ...] = BOARDS
    models: tuple[ToyModel, ...] = MODELS
    outage: tuple[Ns, Ns] = (300 * MS, 900 * MS)

    def build(self, settings: PolicySettings) -> Policy:
        """A policy from what a campaign gives it: a call of the function behind the entry point."""
        raise NotImplementedError

    def settings(self) -> PolicySettings:
        """What `build` gets in every test but for what that test is about."""
        return settings_for(self.boards, self.models)

    def make_policy(self) -> Policy:
        """A fresh policy for these boards and models; the same one every time."""
        return self.build(self.settings())

    def run(self, requests: Sequence[Request], down: str | None = None) -> ToyLab:
        """One run, with one board gone for a while."""
        faults = (
            [] if down is None else [(self.outage[0], down, Health.DOWN), (self.outage[1], down, Health.UP)]
        )
        lab = ToyLab(self.make_policy(), self.boards, self.models, requests, faults=faults)
        lab.run()  # objects to orders for boards that are down, second answers and windows that are over
        return lab

    def told(self) -> dict[str, list[str]]:
        """What is ordered for each kind of stream, in words that can be compared with another process's."""
        return {
            kind: [f"{t} ns: {order}" for t, order in self.run(requests).orders]
            for kind, requests in streams().items()
        }

    @pytest.fixture(params=["calm", "hurried", "patient", "crowded"])
    def requests(self, request: pytest.FixtureRequest) -> list[Request]:
        """Each kind of stream in turn."""
        return streams()[request.param]

    def test_every_request_ends_once(self, requests: list[Request]) -> None:
        """Answered, refused or given up: nothing is left open, nothing is closed twice."""
        lab = self.run(requests)
        assert not lab.cases
        assert lab.finished_count == len(lab.ends) == len(requests)

    def test_every_request_ends_when_boards_come_and_go(self, requests: list[Request]) -> None:
        """Losing any board loses no request, and nothing is ordered for it meanwhile."""
        for board in self.boards:
            lab = self.run(requests, down=board.id)
            assert not lab.cases, f"left open without {board.id}"
            sent = [o for t, o in lab.orders if isinstance(o, Infer) and self.outage[0] < t < self.outage[1]]
            assert all(order.board != board.id for order in sent)

    def test_same_calls_same_orders(self, requests: list[Request]) -> None:
        """A policy is a deterministic function of its seed and its calls."""
        once = self.run(requests)
        with other_time():
            again = self.run(requests)
        assert once.orders == again.orders, "it draws without the seed, reads a clock, or shares state"

    def test_another_process_gives_the_same_orders(self) -> None:
        """Whatever the hash seed, the time zone and the date are there."""
        try:
            here, there = told_elsewhere(type(self))
        except Unreachable as why:
            pytest.skip(str(why))
        for kind, orders in here.items():
            differ = [pair for pair in zip_longest(orders, there[kind]) if pair[0] != pair[1]]
            assert not differ, (
                f"it goes by the order of a set, reads a clock, or draws without the seed; {len(differ)} orders of the "
                f"{kind} stream differ, at first:\n{differ[0][0]}\n{differ[0][1]}"
            )

    def test_is_built_before_anything_is_profiled(self) -> None:
        """A campaign builds every policy once without profiles, only to see whether it refuses its options."""
        self.build(msgspec.structs.replace(self.settings(), profiles=ProfileBook({})))

    def test_an_unknown_option_is_refused(self) -> None:
        """As a `ConfigError`, whose key begins with ``options``; then the file and its table are named to the user."""
        settings = self.settings()
        options = {**settings.options, "no-such-option": 1}
        with pytest.raises(ConfigError) as caught:
            self.build(msgspec.structs.replace(settings, options=options))
        assert caught.value.key.startswith("options")

    def test_answers_rest_on_steps_of_the_request(self, requests: list[Request]) -> None:
        """What an answer names are successful steps of that very request."""
        for end in self.run(requests).ends.values():
            if end.answer is not None:
                ok = {step.id for step in end.steps if step.ok}
                assert end.answer.steps
                assert set(end.answer.steps) <= ok

    def test_plans_within_windows(self, requests: list[Request]) -> None:
        """What has a window starts in it, and no order names a lane or model that the board lacks."""
        lab = self.run(requests)
        for machine in lab.machines.values():
            for run in machine.runs:
                assert (run.order.earliest or 0) <= run.started
                assert run.order.latest is None or run.started <= run.order.latest
        assert not [s.error for e in lab.ends.values() for s in e.steps if s.error and "resident" in s.error]

    def test_refusals_give_a_reason(self, requests: list[Request]) -> None:
        """A rejected request is told why."""
        refusals = [o for _, o in self.run(requests).orders if isinstance(o, Reject)]
        assert all(o.reason for o in refusals)

    def test_serves_when_it_is_calm(self) -> None:
        """With time and boards to spare most requests are answered, and in time."""
        lab = self.run(mixed_requests(60, 50 * MS, slack=S))
        answered = [e for e in lab.ends.values() if isinstance(e.answer, Answer)]
        assert len(answered) >= 0.8 * len(lab.ends)
        assert all(e.answered <= (e.request.deadline or e.answered) for e in answered)
