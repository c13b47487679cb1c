"""The channel of a modelled board: same losses, pace and waits as a real one."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.agent.gatherings import Gatherings
from testbed.coordinator.datagrams import HEADERS_BYTES, KIND_BYTES, Channel, gather
from testbed.coordinator.modelled import Answers
from testbed.model.datagrams import LossyOptions
from testbed.model.losses import Loss, LossOptions
from testbed.model.wires import Constant, Unlimited
from testbed.units import MS
from testbed.wire.datagrams import Order, encode_order
from testbed.wire.fragments import pack, unpack
from testbed.wire.jpeg import GREY, Shape
from testbed.wire.sealing import OVERHEAD_BYTES

SHAPE = Shape(64, 64, 80, GREY, 8)
WAIT, GAP = 30 * MS, 3 * MS
ORDER = Order("m", 0, (), 0, (64, 64), WAIT // 1000, GAP // 1000, 0, 1.0, 0)
PARTS = [
    unpack(content)
    for content in pack(1, SHAPE, [bytes(100)] * SHAPE.segments, encode_order(ORDER), limit=200)
]
SEALED = 1000 + KIND_BYTES + OVERHEAD_BYTES


class Nothing:
    """No pictures: what is asked of them is not this module's."""

    def sizes(self, model: str, sample: int) -> list[int]:
        raise AssertionError

    def lost_frac(self, model: str, sample: int, gone: tuple[int, ...]) -> float:
        raise AssertionError

    def answers(self, model: str, sample: int, gone: tuple[int, ...]) -> Answers:
        raise AssertionError


def channel(options: LossyOptions | None = None, loss: LossOptions | None = None, rtt: int = 0) -> Channel:
    return Channel(options or LossyOptions(), Loss(loss or LossOptions(), "1"), Nothing(), rtt)


@settings(max_examples=300)
@given(st.data())
def test_a_modelled_board_stops_waiting_when_an_agent_does(data: st.DataObject) -> None:
    numbers = data.draw(st.permutations(range(len(PARTS))))
    steps = data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=len(PARTS)))
    t, arrivals = 0, []
    for number, step in zip(numbers, steps, strict=False):
        t += step * MS
        arrivals.append((number, t))
    found = gather(arrivals, len(PARTS), WAIT, GAP)

    agent, through = Gatherings(), []
    for number, now in arrivals:
        # An agent looks at packets first: what comes at the very instant at which a wait ends still counts.
        if (due := agent.due) is not None and due < now:
            through += [(due, one) for one in agent.late(now)]
        through += [(now, one) for one in agent.add(PARTS[number], 200, now).through]
    if (due := agent.due) is not None:
        through += [(due, one) for one in agent.late(due)]
    ((when, one),) = through
    assert found.t == when
    assert len(found.gone) == len(PARTS) - one.gathering.packets
    gone = sorted(place for number in found.gone for place in PARTS[number].segments)
    assert gone == one.gathering.missing


def test_packets_leave_at_the_pace_and_queue_on_the_wire() -> None:
    mine = channel(LossyOptions(pace_mbit=8.0), rtt=20 * MS)
    sent = mine.send([1000] * 4, Unlimited(), 0, 5 * MS)
    assert sent.gathered is not None
    assert (sent.left, sent.gathered.gone) == (5 * MS, ())
    assert sent.gathered.t == 5 * MS + 3 * SEALED * 1000 + 10 * MS
    assert sent.silent == 5 * MS + 3 * SEALED * 1000 + 150 * MS + 40 * MS
    again = mine.send([1000], Unlimited(), 0, 6 * MS)
    assert again.left == 5 * MS + 4 * SEALED * 1000  # behind the first picture
    slow = channel().send([1000] * 4, Constant(2e5), 2 * MS, 0)
    assert slow.gathered is not None
    assert slow.free == slow.gathered.t == 2 * MS + 4 * (SEALED + HEADERS_BYTES) * 5_000


def test_too_slow_a_wire_makes_a_board_stop_waiting() -> None:
    sent = channel().send([1000] * 10, Constant(1e5), 0, 0)  # 10.5 ms a packet, 30 ms from the first on
    assert sent.gathered is not None
    assert sent.gathered.gone == (3, 4, 5, 6, 7, 8, 9)
    assert sent.gathered.t == (SEALED + HEADERS_BYTES) * 10_000 + WAIT


def test_as_many_packets_are_lost_as_asked_in_both_models_and_the_same_for_a_seed() -> None:
    pictures, packets = 2000, 10
    for loss, runs in ((LossOptions(frac=0.05), 1.0), (LossOptions(to_bad=0.0132, to_good=0.25), 4.0)):
        one, two = channel(loss=loss), channel(loss=loss)
        seen = [one.send([1000] * packets, Unlimited(), 0, i * 50 * MS).gathered for i in range(pictures)]
        assert seen == [
            two.send([1000] * packets, Unlimited(), 0, i * 50 * MS).gathered for i in range(pictures)
        ]
        lost = sum(packets if g is None else len(g.gone) for g in seen) / pictures / packets
        # Losses of a burst count once: the binomial margin, wider by the mean length of a run.
        deviation = math.sqrt(0.05 * 0.95 / (pictures * packets) * (2 * runs - 1))
        assert abs(lost - loss.mean_frac) < 4 * deviation


def test_of_a_picture_that_lost_everything_nothing_is_heard() -> None:
    assert channel(loss=LossOptions(frac=1.0)).send([1000] * 4, Unlimited(), 0, 0).gathered is None
