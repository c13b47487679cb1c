"""What one process never shows is seen by two that differ, and what cannot be seen there is told."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from datetime import date
from time import monotonic

import pytest

from testbed.contracts import elsewhere
from testbed.contracts.elsewhere import Unreachable, other_time, told_elsewhere
from testbed.contracts.policy import PolicyContract
from testbed.model.action import Answer, Decision, Infer, Item
from testbed.model.placement import Placement

BOARDS = ("weak", "strong", "far")


class To:
    """Sends every request to the board that `choose` names, and answers what comes back."""

    def __init__(self, choose):
        self.choose = choose

    def plan(self, demand, lab):
        return Placement()

    def decide(self, now, view):
        actions = []
        for request in view.touched:
            case = view.cases[request]
            if not case.steps:
                item = (Item(request=request),)
                board = self.choose()
                model = next(iter(view.boards[board].resident))
                actions.append(Infer(id=view.new_id(), board=board, model=model, batch=item))
            elif case.steps[-1].ok:
                last = case.steps[-1]
                actions.append(Answer(request=request, steps=(last.id,), label=last.label))
        return Decision(actions=tuple(actions))


class Steady(PolicyContract):
    def build(self, settings):
        sys.stdout.write("whatever is printed is no answer")
        return To(lambda: "strong")


class OfASet(PolicyContract):
    def build(self, settings):
        return To(lambda: next(iter({board.id for board in self.boards})))


class OfTheDate(PolicyContract):
    def build(self, settings):
        return To(lambda: BOARDS[date.today().toordinal() % 3])


class OfAClockByName(PolicyContract):
    def build(self, settings):
        return To(lambda: BOARDS[int(monotonic() / 3) % 2])


class OfChance(PolicyContract):
    def build(self, settings):
        board = random.choice([str(k) for k in range(1_000_000)])
        return To(lambda: BOARDS[int(board) % 2 + random.randrange(2)])


class FailsThere(PolicyContract):
    def build(self, settings):
        return To(lambda: "strong" if os.environ.get("PYTHONHASHSEED") != "12" else "nowhere")


class NeedsAFixture(PolicyContract):
    def build(self, settings):
        return To(self.choose_board)


class Endless(PolicyContract):
    def build(self, settings):
        time.sleep(600)


def test_a_policy_that_goes_by_its_calls_alone_passes():
    Steady().test_another_process_gives_the_same_orders()


@pytest.mark.parametrize("contract", [OfASet, OfTheDate, OfAClockByName, OfChance])
def test_what_one_process_may_never_show_is_caught(contract):
    with pytest.raises(AssertionError, match="orders of the calm stream differ"):
        contract().test_another_process_gives_the_same_orders()


def test_failing_there_alone_is_caught():
    with pytest.raises(AssertionError, match="fails in another process"):
        FailsThere().test_another_process_gives_the_same_orders()


def test_what_cannot_be_built_there_is_skipped_with_the_reason():
    with pytest.raises(pytest.skip.Exception, match="choose_board"):
        NeedsAFixture().test_another_process_gives_the_same_orders()


def test_what_has_no_name_or_no_file_cannot_be_told():
    class Local(Steady):
        pass

    with pytest.raises(Unreachable, match="inside a function"):
        told_elsewhere(Local)
    typed_in = type("TypedIn", (Steady,), {"__module__": "__nowhere__"})
    with pytest.raises(Unreachable, match="no file"):
        told_elsewhere(typed_in)


def test_the_wait_is_bounded(monkeypatch):
    monkeypatch.setattr(elsewhere, "LIMIT_S", 0.2)
    with pytest.raises(AssertionError, match="not through"):
        told_elsewhere(Endless)


def test_the_answer_is_the_last_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["", __file__, "a_name_of_its_own", "Steady", "0"])
    monkeypatch.delitem(sys.modules, "a_name_of_its_own", raising=False)
    elsewhere.main()
    del sys.modules["a_name_of_its_own"]
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["told"]
    assert set(told) == {"calm", "hurried", "patient", "crowded"}
    assert all("strong" in order for order in told["calm"] if "Infer" in order)


def test_other_time_is_another_day_and_ends():
    before = time.time()
    with other_time():
        steps = {time.monotonic_ns() - time.monotonic_ns() for _ in range(9)}
        assert len(steps) == 9
        assert time.time() > before + 50_000
    assert time.time() < before + 50_000
