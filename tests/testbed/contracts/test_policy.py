"""The contract catches what it says it catches."""

import time

import pytest

from testbed.contracts.policy import PolicyContract, mixed_requests, settings_for
from testbed.errors import ConfigError, PolicyError
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


@pytest.mark.parametrize(
    "look",
    [
        lambda: time.localtime(time.time()).tm_hour % 2,
        lambda: time.time() % 2 > 1,
        lambda: time.monotonic_ns() % 4 > 1,
    ],
)
def test_looking_at_a_clock_is_caught(look):
    class Clocked(Bad):
        def decide(self, now, view):
            self.board = "strong" if look() else "far"
            return super().decide(now, view)

    with pytest.raises(AssertionError, match="reads a clock"):
        contract(Clocked()).test_same_calls_same_orders(PATIENT)


def test_a_budget_of_real_time_is_caught():
    class Hasty(Bad):
        def decide(self, now, view):
            begun = time.perf_counter()
            done = super().decide(now, view)
            return done if time.perf_counter() - begun < 0.5 else Decision()

    with pytest.raises((AssertionError, PolicyError)):
        contract(Hasty()).test_same_calls_same_orders(PATIENT)


def built(factory):
    made = PolicyContract()
    made.build = factory
    return made


def test_needing_profiles_to_be_built_is_caught():
    def choosy(settings):
        return Bad(board=max(board for board, _ in settings.profiles.rows))

    choosy(PolicyContract().settings())
    with pytest.raises(ValueError, match="empty"):
        built(choosy).test_is_built_before_anything_is_profiled()


def test_taking_any_option_is_caught():
    with pytest.raises(pytest.fail.Exception):
        built(lambda _: Bad()).test_an_unknown_option_is_refused()


def test_refusing_an_option_under_another_key_is_caught():
    def other(settings):
        raise ConfigError("no", key="no-such-option")

    with pytest.raises(AssertionError):
        built(other).test_an_unknown_option_is_refused()


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
