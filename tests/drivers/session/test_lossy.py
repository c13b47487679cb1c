import numpy as np
import pytest

from drivers.session.ledger import Flight
from drivers.session.lossy import Encoder, packets_of
from testbed.errors import LocalWireError
from testbed.model.action import ExitRule, Infer, Item
from testbed.model.datagrams import LossyOptions
from testbed.wire.datagrams import decode_order
from testbed.wire.fragments import Gathering, unpack

IMAGE = (np.arange(28 * 28) % 251).astype(np.uint8).reshape(1, 1, 28, 28)


def flight(image=IMAGE, sample=3, number=9, **changes):
    rule = ExitRule(min_confidence=(0.7,), stop_after=0)
    order = Infer(id=1, board="b", model="cnn", batch=(Item(request=1, exit=rule),), **changes)
    found = Flight(order, image, (sample,))
    found.number = number
    return found


def test_each_packet_says_everything():
    options = LossyOptions(units=1, packet_bytes=256, fill="mean", mean=(73,), most_lost=0.2)
    going = flight(instance=2, latest=5_000_000)
    picture = Encoder(options).encode(going.payload[0])
    parts = [unpack(content) for content in packets_of(going, picture, options, 1_000_000)]
    assert len(parts) >= 3
    gathering = Gathering(parts[0])
    for part in parts[1:]:
        gathering.add(part)
    assert gathering.complete
    assert len({part.order for part in parts}) == 1
    order = decode_order(bytes(parts[0].order))
    assert (order.model, order.instance, order.thresholds, order.stop_after_ns) == ("cnn", 2, (0.7,), 1)
    assert (order.shape, order.start_us, order.most_lost) == ((1, 28, 28), 4000, 0.2)
    assert (order.fill, order.mean, order.wait_us) == (1, (73,), 30_000)
    assert {part.action for part in parts} == {9}


def test_a_segment_too_large_says_what_to_do():
    options = LossyOptions(packet_bytes=128)
    picture = Encoder(options).encode(IMAGE[0])
    with pytest.raises(LocalWireError, match="restart markers"):
        packets_of(flight(), picture, options, 0)


def test_what_was_encoded_is_kept_and_not_taken_for_another(monkeypatch):
    encoder = Encoder(LossyOptions())
    key = encoder.key_of(flight())
    assert encoder.find(key) is None
    picture = encoder.encode(IMAGE[0])
    encoder.keep(key, picture)
    encoder.keep(key, picture)
    assert encoder.find(encoder.key_of(flight())) is picture
    other = IMAGE.copy()
    other[0, 0, 0, 0] += 1
    assert encoder.find(encoder.key_of(flight(other))) is None
    assert encoder.find(encoder.key_of(flight(sample=4))) is None
    size = sum(map(len, picture[1]))
    monkeypatch.setattr("drivers.session.lossy._KEPT_BYTES", size)
    encoder.keep(encoder.key_of(flight(other)), picture)
    assert encoder.find(key) is None
