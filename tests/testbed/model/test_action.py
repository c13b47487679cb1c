from __future__ import annotations

import math

import msgspec
import pytest

from testbed.model.action import (
    Action,
    Answer,
    Cancel,
    ExitRule,
    Infer,
    Item,
    Load,
    Output,
    Region,
    Reject,
    Sample,
)


def test_leaving_at_an_exit_is_a_rule_of_never_never_always():
    assert ExitRule.at(0).min_confidence == (0.0,)
    assert ExitRule.at(2).min_confidence == (math.inf, math.inf, 0.0)
    assert ExitRule().min_confidence == ()


@pytest.mark.parametrize(
    "action",
    [
        Infer(
            id=1,
            board="b",
            model="m",
            batch=(Item(request=7), Item(request=8, input=Output(action=1, port="z"))),
        ),
        Infer(
            id=2, board="b", model="m", batch=(Item(request=7, input=Region(request=3, box=(0, 1, 2, 3))),)
        ),
        Load(id=3, board="b", model="m", instances=2, evict=("old",)),
        Answer(request=7, steps=((1, 0), (2, 0)), label=4),
        Cancel(action=1, requests=(7,)),
        Reject(request=7, reason="infeasible", best_accuracy=0.93),
    ],
    ids=lambda action: type(action).__name__,
)
def test_every_action_survives_the_event_log(action):
    # The event log is MessagePack, which carries the infinities of an exit rule.
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(action), type=Action) == action


def test_actions_never_change():
    with pytest.raises(AttributeError):
        Load(id=1, board="b", model="m").board = "c"  # type: ignore[misc]


def test_an_item_without_more_is_the_requests_own_input_to_the_last_exit():
    item = Item(request=1)
    assert item.input == Sample()
    assert item.exit == ExitRule()
