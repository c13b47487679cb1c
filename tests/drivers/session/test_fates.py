from __future__ import annotations

import numpy as np
import pytest

from drivers.boards.composition import Composition
from drivers.session.actions import Actions
from drivers.session.fates import Fates
from drivers.session.probing import Prober
from testbed.model import event as ev
from testbed.model.action import Infer, Item, Transport
from testbed.model.execution import NO_DATAGRAMS, WINDOW_MISSED
from testbed.wire import messages as m


class Channel:
    """Stands for the datagram channel: notes what it is given."""

    why_not = ""

    def __init__(self):
        self.sent = []
        self.seen = []
        self.send, self.saw = self.sent.append, self.seen.append


@pytest.fixture
def stage():
    class Stage:
        def __init__(self):
            self.t, self.events, self.said = 5, [], []
            parts = Composition(kind="t", make_link=lambda: pytest.fail("no link here"))
            self.actions = Actions(1, parts, self.events.append, lambda: self.t, 1)
            self.actions.ledger.credits = 4
            self.prober = Prober("b", 1, parts, self.events.append)
            self.fates = Fates(self.actions, self.prober, lambda _: None, self.said.append, lambda: self.t)
            self.channel = self.actions.datagrams = Channel()

        def order(self, items=1):
            batch = tuple(Item(request=i) for i in range(items))
            order = Infer(id=7, board="b", model="m", batch=batch, transport=Transport.LOSSY)
            return self.actions.add(order, np.zeros((items, 8, 8), np.uint8), ())

        def going(self):
            assert self.order() is None
            assert self.actions.next() is None  # nothing for the reliable session
            return self.channel.sent[-1]

    return Stage()


def test_without_a_channel_the_order_is_refused_with_the_reason(stage):
    stage.channel.why_not = "the board: not installed: Pillow"
    assert stage.order() == f"{NO_DATAGRAMS}: the board: not installed: Pillow"
    stage.actions.datagrams = None
    assert stage.order().startswith(NO_DATAGRAMS)
    stage.actions.datagrams = Channel()
    assert "one picture, not 2" in stage.order(items=2)


def test_a_lossy_order_leaves_over_the_channel_and_ends_once(stage):
    flight = stage.going()
    assert stage.fates.stands(flight)
    stage.fates.left(flight)
    assert isinstance(stage.events[-1], ev.Sent)
    done = m.Done(flight.number, 1, 2, 3, (0,), (), {"lost_frac": 0.25, "packets": 4, "packets_lost": 1})
    stage.actions.done(done)
    stage.actions.done(done)  # the other way
    ends = [e for e in stage.events if isinstance(e, ev.Executed)]
    assert len(ends) == 1
    assert ends[0].execution.items[0].lost_frac == 0.25
    assert ends[0].execution.notes["packets_lost"] == 1.0
    assert stage.channel.seen == [done]
    assert not stage.fates.stands(flight)
    stage.fates.unheard(flight)
    assert stage.said == []


def test_silence_means_that_all_was_lost(stage):
    flight = stage.going()
    stage.fates.left(flight)
    stage.fates.unheard(flight)
    failed = stage.events[-1]
    assert (failed.action, failed.lost_frac) == (7, 1.0)
    assert stage.said == [m.Cancel(flight.number, ())]
    stage.actions.done(m.Done(flight.number, 1, 2, 3, (0,), (), {}))
    assert stage.events[-1] is failed


def test_an_acknowledged_order_is_waited_for(stage):
    flight = stage.going()
    stage.actions.accepted(m.Accepted(flight.number, 1))
    stage.fates.unheard(flight)
    assert stage.fates.stands(flight)
    assert stage.said == []


@pytest.mark.parametrize(("code", "error"), [("lost", "lost: too much"), ("window", WINDOW_MISSED)])
def test_what_was_lost_is_told_with_the_failure(stage, code, error):
    flight = stage.going()
    stage.actions.failed(m.Failed("action", flight.number, code, "too much", "", 0.4))
    assert (stage.events[-1].error, stage.events[-1].lost_frac) == (error, 0.4)


def test_losses_are_smoothed_and_told_a_few_times_a_second(stage):
    stage.t = 10**9
    stage.fates.lost(0.2)
    assert stage.events == []  # no round trip is known yet
    probe = stage.prober.make(0)
    stage.prober.take(m.ProbeReply(probe.seq, 1, 0), 50)
    stage.events.clear()
    stage.t += 10**9
    for _ in range(10):
        stage.fates.lost(0.0)
    (seen,) = stage.events
    assert isinstance(seen, ev.NetworkSeen)
    assert seen.loss_frac == pytest.approx(0.19)
    stage.t += 10**9
    stage.fates.lost(0.0)
    assert stage.events[-1].loss_frac < 0.15
