import pytest

from drivers.agent import gatherings as module
from drivers.agent.gatherings import Gatherings, Taken
from testbed.errors import RemoteWireError
from testbed.wire.datagrams import Order, encode_order
from testbed.wire.fragments import pack, unpack
from testbed.wire.jpeg import GREY, Shape
from testbed.wire.strips import ROWS

MS = 1_000_000
SHAPE = Shape(64, 64, 80, GREY, 8)
ORDER = Order("m", 0, (), 0, (64, 64), 30_000, 3_000, 0, 1.0, 0)


def packets(action, order=ORDER):
    segments = [bytes((i,)) * 100 for i in range(SHAPE.segments)]
    return [unpack(c) for c in pack(action, SHAPE, segments, encode_order(order), limit=300)]


def test_a_picture_is_through_with_its_last_packet_whatever_the_order():
    taking, parts = Gatherings(), packets(1)
    assert len(parts) > 3
    told = [taking.add(part, 300, 5 * MS) for part in reversed(parts)]
    assert [one.first for one in told] == [True] + [False] * (len(parts) - 1)
    assert not any(one.through or one.strips for one in told[:-1])
    (through,) = told[-1].through
    assert (through.action, through.order, through.began) == (1, ORDER, 5 * MS)
    assert through.gathering.lost_frac == 0
    assert taking.due is None
    assert taking.add(parts[0], 300, 6 * MS) == Taken()  # again, and never a second picture


def test_waiting_ends():
    taking, parts = Gatherings(), packets(1)
    for part in parts[:2]:
        taking.add(part, 300, 0)
        taking.add(part, 300, 1 * MS)  # twice
    assert taking.due == 30 * MS
    assert taking.late(29 * MS) == []
    (through,) = taking.late(30 * MS)
    assert through.gathering.packets == 2
    assert taking.add(parts[2], 300, 31 * MS) == Taken()


def test_behind_the_last_packet_waiting_is_short():
    taking, parts = Gatherings(), packets(1)
    taking.add(parts[0], 300, 0)
    taking.add(parts[-1], 300, 2 * MS)
    assert taking.due == 5 * MS
    assert len(taking.late(5 * MS)) == 1


def test_number_and_size_are_bounded(monkeypatch):
    taking = Gatherings()
    ended = [taking.add(packets(action)[0], 300, 0).through for action in range(1, 70)]
    assert [t.action for through in ended for t in through] == [1, 2, 3, 4, 5]
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    taking = Gatherings()
    ended = [taking.add(packets(action)[0], 300, 0).through for action in range(1, 6)]
    assert [t.action for through in ended for t in through] == [1, 2]
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    taking.late(60 * MS)
    assert len(taking._ended) == 2


def test_contradictions_and_unreadable_orders_are_refused():
    taking = Gatherings()
    taking.add(packets(1)[0], 300, 0)
    with pytest.raises(RemoteWireError):
        taking.add(packets(1, ORDER._replace(model="n"))[1], 300, 0)
    with pytest.raises(RemoteWireError):
        taking.add(packets(2)[0]._replace(order=b"nonsense"), 300, 0)
    assert len(taking.late(60 * MS)) == 1


def test_segments_can_be_decoded_early_where_the_order_says_so_but_not_those_of_the_last_packet():
    taking, parts = Gatherings(), packets(1, ORDER._replace(decode=ROWS))
    told = [taking.add(part, 300, 0) for part in (*parts[:1], *parts)]
    assert [one.strips is not None for one in told] == [True, False] + [True] * (len(parts) - 2) + [False]
    assert len({id(one.strips) for one in told if one.strips}) == 1
    (through,) = told[-1].through
    assert through.strips is told[0].strips


def test_pixels_count_as_held(monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 2 * 3 * SHAPE.width * SHAPE.height)
    taking = Gatherings()
    ended = [
        taking.add(packets(action, ORDER._replace(decode=ROWS))[0], 300, 0).through for action in (1, 2, 3)
    ]
    assert [t.action for through in ended for t in through] == [1, 2]
