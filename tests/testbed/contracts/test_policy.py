"""The contract catches what it says it catches."""

import pytest

from testbed.contracts.policy import PolicyContract, mixed_requests, settings_for
from testbed.errors import PolicyError
from testbed.model.action import Answer, Decision, Infer, Item, Reject
from testbed.model.placement import Placement
from testbed.policy.thresholds import PlanKind
from testbed.units import MS


class Bad:
    """Sends everything to one board and answers what comes back."""

    def __init__(self, *, twice=False, board="strong", forget=False, window=False):
        self.twice, self.board, self.forget, self.window = twice, board, forget, window

    def plan(self, demand, lab):
        return Placement()

    def decide(self, now, view):
        actions = []
        for request in view.touched:
            case = view.cases[request]
            last = case.steps[-1] if case.steps else None
            if last is None and not (self.forget and request % 2):
                latest = now - 1 if self.window else None
                item = (Item(request=request),)
                actions.append(
                    Infer(id=view.new_id(), board=self.board, model="small", batch=item, latest=latest)
                )
            elif last is not None and last.ok:
                actions += [Answer(request=request, steps=(last.id,), label=last.label)] * (1 + self.twice)
        return Decision(actions=tuple(actions))


def contract(policy):
    made = PolicyContract()
    made.make_policy = lambda: policy
    return made


PATIENT = mixed_requests(60, 25 * MS, slack=None)


def test_a_plain_policy_passes():
    contract(Bad()).test_every_request_ends_once(PATIENT)


def test_answering_twice_is_caught():
    with pytest.raises(PolicyError, match="not open"):
        contract(Bad(twice=True)).test_every_request_ends_once(PATIENT)


def test_forgetting_a_request_is_caught():
    with pytest.raises(AssertionError):
        contract(Bad(forget=True)).test_every_request_ends_once(PATIENT)


def test_ordering_for_a_board_that_is_down_is_caught():
    with pytest.raises(PolicyError, match="unknown or down"):
        contract(Bad()).test_every_request_ends_when_boards_come_and_go(PATIENT)


def test_a_window_that_is_over_is_caught():
    with pytest.raises(PolicyError, match="window"):
        contract(Bad(window=True)).test_plans_within_windows(PATIENT)


def test_a_model_that_is_not_resident_is_caught():
    with pytest.raises(AssertionError):
        contract(Bad(board="weak")).test_plans_within_windows(PATIENT)


def test_chance_is_caught():
    boards = iter(["strong", "weak", "strong", "weak"])
    made = PolicyContract()
    made.make_policy = lambda: Bad(board=next(boards))
    with pytest.raises(AssertionError):
        made.test_same_calls_same_orders(PATIENT)


def test_answers_from_nowhere_are_caught():
    class Guesser(Bad):
        def decide(self, now, view):
            return Decision(actions=tuple(Answer(request=r, steps=(), label=0) for r in view.touched))

    with pytest.raises(AssertionError):
        contract(Guesser()).test_answers_rest_on_steps_of_the_request(PATIENT)


def test_refusing_everything_is_caught():
    class Refuser(Bad):
        def decide(self, now, view):
            return Decision(actions=tuple(Reject(request=r, reason="") for r in view.touched))

    with pytest.raises(AssertionError):
        contract(Refuser()).test_refusals_give_a_reason(PATIENT)
    with pytest.raises(AssertionError):
        contract(Refuser()).test_serves_when_it_is_calm()


def test_toy_settings_offer_every_kind_of_plan():
    kinds = {row.plan for row in settings_for().thresholds.rows}
    assert {PlanKind.EDGE_ONLY, PlanKind.CASCADE, PlanKind.INFEASIBLE} <= kinds
