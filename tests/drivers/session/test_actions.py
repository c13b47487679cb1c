from __future__ import annotations

import numpy as np
import pytest

from drivers.boards.composition import CommonOptions, Composition
from drivers.session.actions import Actions
from testbed.model import event as ev
from testbed.model.action import Cancel, Infer, Item
from testbed.model.execution import WINDOW_MISSED
from testbed.wire import messages as m

MS = 1_000_000


class Stage:
    """Actions with a clock that the test moves."""

    def __init__(self, *, lossy=False):
        self.t = 0
        self.events = []
        parts = Composition(
            kind="test",
            make_link=lambda: pytest.fail("no link here"),
            lossy=lossy,
            line_bytes_per_s=1000.0,
            common=CommonOptions(timeout_ms=5000),
        )
        self.actions = Actions(1, parts, self.events.append, lambda: self.t, 1)
        self.actions.ledger.credits = 10

    def order(self, action, requests=(1,), **window):
        batch = tuple(Item(request=r) for r in requests)
        order = Infer(id=action, board="b", model="m", batch=batch, **window)
        assert self.actions.add(order, np.zeros((len(requests), 100), np.uint8), ()) is None

    def leave(self):
        flight, message = self.actions.next()
        if self.actions.mark_leaving(flight):
            self.actions.tell_sent(flight)
        self.actions.mark_sent(flight)
        return message


def test_an_action_is_held_back_until_it_may_start():
    stage = Stage()
    stage.order(1, earliest=400 * MS)
    stage.order(2)
    assert stage.leave().action == 1  # numbers on the wire follow the way out
    assert stage.actions.next() is None
    stage.t = 400 * MS
    stage.leave()
    assert [event.action for event in stage.events] == [2, 1]


def test_an_action_is_not_held_back_for_ever():
    stage = Stage()
    order = Infer(id=1, board="b", model="m", batch=(Item(request=1),), earliest=5001 * MS)
    assert "`earliest`" in stage.actions.add(order, np.zeros((1, 1), np.uint8), ())
    assert len(stage.actions.ledger) == 0


def test_an_action_that_cannot_leave_in_its_window_fails():
    stage = Stage()
    stage.actions.ledger.credits = 1
    stage.order(1)
    stage.order(2, latest=100 * MS)
    stage.order(3, earliest=300 * MS, latest=200 * MS)
    stage.leave()
    stage.t = 100 * MS + 1
    stage.actions.tick(stage.t)
    assert (stage.events[-1].action, stage.events[-1].error) == (2, WINDOW_MISSED)
    stage.t = 250 * MS
    stage.actions.tick(stage.t)
    assert (stage.events[-1].action, stage.events[-1].error) == (3, WINDOW_MISSED)


def test_an_unaccepted_action_is_repeated_after_its_line_time_and_ever_later():
    stage = Stage(lossy=True)
    stage.order(1)
    first = stage.leave()
    waits = []
    while len(waits) < 3:
        begun = stage.t
        while not (again := stage.actions.next()):
            stage.t += 10 * MS
            stage.actions.tick(stage.t)
        assert again[1] == first
        assert not stage.actions.mark_leaving(again[0])
        stage.actions.mark_sent(again[0])
        waits.append(stage.t - begun)
    assert waits[0] >= (300 + 2 * 164) * MS  # 100 bytes and the reply's at 1000 bytes/s, twice
    assert waits[1] >= 2 * waits[0] - 20 * MS
    assert waits[2] >= 2 * waits[1] - 40 * MS
    assert len(stage.events) == 1


def test_on_a_reliable_link_nothing_is_repeated():
    stage = Stage()
    stage.order(1)
    stage.leave()
    stage.t = 4999 * MS
    assert stage.actions.tick(stage.t) == []
    assert stage.actions.next() is None
    stage.t = 5000 * MS
    assert stage.actions.tick(stage.t) == [m.Cancel(1, ())]
    assert isinstance(stage.events[-1], ev.Failed)


def test_cancels_of_one_action_add_up_and_are_repeated():
    stage = Stage(lossy=True)
    stage.order(1, requests=(7, 8, 9))
    stage.leave()
    assert stage.actions.cancel(Cancel(action=1, requests=(7,))) == m.Cancel(1, (0,))
    assert stage.actions.cancel(Cancel(action=1, requests=(9,))) == m.Cancel(1, (0, 2))
    assert stage.actions.cancel(Cancel(action=1)) == m.Cancel(1, ())
    stage.t += 301 * MS
    assert m.Cancel(1, ()) in stage.actions.tick(stage.t)
    stage.actions.cancelled(m.Cancelled(1, m.BEFORE_START, ()))
    stage.t += 301 * MS
    assert stage.actions.tick(stage.t) == []
    assert stage.events[-1].stage == "before_start"


def test_too_late_leaves_the_execution_to_end_it():
    stage = Stage()
    stage.order(1)
    stage.leave()
    stage.actions.cancel(Cancel(action=1))
    stage.actions.cancelled(m.Cancelled(1, m.TOO_LATE, ()))
    assert stage.events[-1].stage == "too_late"
    assert len(stage.actions.ledger) == 1


def test_an_answer_faster_than_the_writer_still_has_its_sent_first():
    stage = Stage()
    stage.order(1)
    flight, _ = stage.actions.next()
    stage.actions.mark_leaving(flight)
    stage.actions.tell_sent(flight)
    stage.actions.failed(m.Failed("action", 1, "model", "no", "tb"))
    stage.actions.mark_sent(flight)
    assert [type(e) for e in stage.events] == [ev.Sent, ev.Failed]
    assert stage.events[1].traceback == "tb"


def test_an_answer_that_does_not_fit_is_a_failure():
    stage = Stage()
    stage.order(1)
    stage.leave()
    stage.actions.done(m.Done(1, 1, 2, 3, (0, 0), (), {}))
    assert "2 items where 1" in stage.events[-1].error


def test_draining_fails_what_waits_and_what_flies():
    stage = Stage()
    stage.actions.ledger.credits = 1
    stage.order(1)
    stage.order(2)
    stage.leave()
    stage.actions.drain("gone")
    assert [(e.action, e.error) for e in stage.events[1:]] == [(1, "gone"), (2, "gone")]
