import queue
import threading

import numpy as np
import pytest

from drivers.agent import pictures as module
from drivers.agent.gatherings import Through
from drivers.agent.ledger import Ledger
from drivers.agent.pictures import Pictures
from testbed.wire import messages as m
from testbed.wire.datagrams import Order
from testbed.wire.fragments import Gathering, pack, unpack
from testbed.wire.picture import encode
from testbed.wire.strips import Strips

ORDER = Order("m", 0, (0.5,), 7, (1, 32, 32), 0, 0, 0, 0.5, 0)
PICTURE = np.add.outer(np.arange(32), np.arange(32) * 5).astype(np.uint8)
SHAPE, SEGMENTS = encode(PICTURE, quality=80)


class Outlet:
    def __init__(self):
        self.said = queue.Queue()
        self.send = self.post = self.said.put


class Residency:
    """Takes what is submitted, or refuses it."""

    def __init__(self, refusal=None):
        self.refusal = refusal
        self.taken = queue.Queue()

    def submit(self, entry, *, claim):
        assert not claim
        self.taken.put(entry)
        return self.refusal


class Told:
    """Stands for the strips of a picture: says when it is their turn."""

    def __init__(self, done):
        self.done = done

    def add(self, segments):
        self.done.set()


class Held(Told):
    """Keeps the thread."""

    def __init__(self, done, held):
        super().__init__(done)
        self.held = held

    def add(self, segments):
        super().add(segments)
        assert self.held.wait(20)


def through(action=1, order=ORDER, packets=None):
    contents = pack(action, SHAPE, SEGMENTS, b"", limit=24 + max(map(len, SEGMENTS)))
    gathering = Gathering(unpack(contents[0]))
    for content in contents[1:packets]:
        gathering.add(unpack(content))
    return Through(action, order, gathering, 0)


@pytest.fixture
def parts():
    outlet, residency, ledger = Outlet(), Residency(), Ledger(4)
    return Pictures(ledger, residency, outlet, lambda: 77), outlet, residency, ledger


def test_a_picture_becomes_an_ordinary_action(parts):
    pictures, _, residency, _ = parts
    pictures.put(through(), lambda action, message: None)
    entry = residency.taken.get(timeout=20)
    assert (entry.action, entry.received, entry.batch) == (1, 77, 1)
    infer = entry.infer
    assert (infer.model, infer.thresholds, infer.stop_after_ns, infer.samples) == (
        "m",
        ((0.5,),),
        (7,),
        (-1,),
    )
    assert infer.input.shape == (1, 1, 32, 32)
    assert entry.report["lost_frac"] == 0.0
    assert entry.report["decode_ns"] > 0
    assert entry.lost_rows == 0
    assert "lost_rows" not in entry.report


def test_rows_that_were_lost_as_a_whole_are_handed_on(parts):
    pictures, _, residency, _ = parts
    pictures.put(through(packets=3), lambda action, message: None)  # of four rows of segments
    entry = residency.taken.get(timeout=20)
    assert entry.lost_rows == 0xFF << 24
    assert entry.report["lost_rows"] == list(range(24, 32))
    given = np.frombuffer(entry.infer.input.data, np.uint8).reshape(32, 32)
    assert (given[24:] == 128).all()


def test_rows_that_came_early_are_decoded_before_the_picture_is_through(parts):
    pictures, _, residency, _ = parts
    done, strips = threading.Event(), Strips(SHAPE)
    pictures.begin(strips, {0: SEGMENTS[0], 1: b"\xff\xd8"})  # whatever comes of it, nothing is told yet
    pictures.begin(Told(done), {})
    assert done.wait(20)
    assert strips.there == {0}
    pictures.put(through(packets=3)._replace(strips=strips), lambda action, message: None)
    entry = residency.taken.get(timeout=20)
    assert strips.there == {0, 1, 2}
    given = np.frombuffer(entry.infer.input.data, np.uint8).reshape(32, 32)
    assert (given[24:] == 128).all()
    assert np.abs(given[:24].astype(int) - PICTURE[:24]).mean() < 4


def test_early_rows_that_nobody_has_time_for_are_left_to_the_end(parts):
    pictures, _, residency, _ = parts
    held, entered = threading.Event(), threading.Event()
    pictures.begin(Held(entered, held), {})
    assert entered.wait(20)
    strips = Strips(SHAPE)
    for place, segment in enumerate(SEGMENTS * 100):
        pictures.begin(strips, {place % SHAPE.segments: segment})
    pictures.put(through()._replace(strips=strips), lambda action, message: None)
    held.set()
    assert residency.taken.get(timeout=20).report["lost_frac"] == 0.0


def test_what_fails_is_told_both_ways(parts):
    pictures, outlet, residency, ledger = parts
    told = queue.Queue()

    def tell(action, message):
        told.put((action, message))

    pictures.put(through(2, ORDER._replace(most_lost=0.0), packets=1), tell)
    action, failed = told.get(timeout=20)
    assert (action, failed.code) == (2, "lost")
    assert failed.lost_frac > 0
    assert outlet.said.get(timeout=20) == failed
    residency.refusal = m.Failed("action", 3, "no-model", "", "")
    pictures.put(through(3), tell)
    assert told.get(timeout=20) == (3, residency.refusal)
    assert ledger.unfinished == 0
    pictures.put(through(4, ORDER._replace(shape=(3, 32, 32))), tell)
    assert told.get(timeout=20)[1].code == "picture"


def test_more_than_can_be_decoded_is_refused_at_once(parts, monkeypatch):
    pictures, outlet, _, _ = parts
    held, entered = threading.Event(), threading.Event()

    def slow(*arguments):
        entered.set()
        held.wait(20)
        raise ValueError("never mind")

    monkeypatch.setattr(module, "restore", slow)
    pictures.put(through(1), lambda *_: None)
    assert entered.wait(20)
    for action in range(2, 2 + module._QUEUE_LENGTH):
        pictures.put(through(action), lambda *_: None)
    pictures.put(through(500), lambda *_: None)
    refused = outlet.said.get(timeout=20)
    assert (refused.number, refused.code) == (500, "busy")
    held.set()
    assert outlet.said.get(timeout=20).code == "agent"


def test_the_first_packet_is_acknowledged(parts):
    pictures, outlet, _, _ = parts
    assert pictures.accepted(9) == m.Accepted(9, 77) == outlet.said.get(timeout=20)
