from __future__ import annotations

import math

import pytest

from drivers.boards.composition import Composition
from drivers.session.probing import Prober
from testbed.model.record import ClockProbe
from testbed.wire import messages as m


def prober(events, **changes):
    parts = Composition(kind="t", make_link=lambda: pytest.fail("no link here"), **changes)
    return Prober("b", 3, parts, events.append)


async def test_stamps_and_the_smallest_round_trip():
    events, clock = [], iter((100, 1000, 2000))
    probes = prober(events)

    def send():
        sent = probes.make(next(clock))
        probes.take(m.ProbeReply(sent.seq, 7, 1), 50 * sent.seq + {1: 100, 2: 1000, 3: 2000}[sent.seq])

    seen = await probes.run(3, send)
    first = events[0]
    assert (first.t0, first.t1, first.t2, first.t3, first.boot) == (100, 7, 8, 150, 3)
    assert (seen.rtt, seen.loss_frac) == (50, 0.0)
    assert seen.up_bytes_per_s == math.inf


def test_replies_that_nobody_asked_for_or_come_twice_are_ignored():
    events = []
    probes = prober(events)
    probe = probes.make(5)
    for _ in range(2):
        probes.take(m.ProbeReply(probe.seq, 1, 1), 9)
    probes.take(m.ProbeReply(99, 1, 1), 9)
    assert len(events) == 1


async def test_line_time_of_a_serial_board_is_modelled():
    events = []
    probes = prober(events, lossy=True, line_bytes_per_s=11520.0)
    probe = probes.make(0)
    probes.take(m.ProbeReply(probe.seq, 1, 1), 9_000_000)
    (event,) = events
    assert isinstance(event, ClockProbe)
    assert event.wire_up == pytest.approx(12 * 86_806, rel=1e-3)  # 9 of the frame, 3 of the probe
    assert event.wire_down == pytest.approx(24 * 86_806, rel=1e-3)


async def test_the_end_of_the_conversation_lets_go():
    probes = prober([])
    assert await probes.run(2, probes.end) is None
