import pytest

from drivers.virtual.transports.contents import DONE, Answer, decode_answer, encode_answer, order_of, whole
from drivers.virtual.transports.options import CarrierOptions
from testbed.errors import RemoteWireError
from testbed.wire.datagrams import decode_order
from testbed.wire.fragments import Gathering, unpack
from testbed.wire.jpeg import Shape


def test_an_answer_comes_back() -> None:
    answer = Answer(7, DONE, 0.25)
    assert decode_answer(encode_answer(answer)) == answer


@pytest.mark.parametrize("wrong", [b"", b"\3", b"\1" + bytes(13), encode_answer(Answer(1, 0, 0.0)) + b"x"])
def test_what_is_no_answer_is_refused(wrong) -> None:
    with pytest.raises(RemoteWireError):
        decode_answer(wrong)


def test_the_order_says_how_long_to_wait() -> None:
    order = decode_order(order_of(Shape(32, 16, 85, 2, 1), CarrierOptions(wait_ms=20, most_lost=0.4)))
    assert (order.wait_us, order.most_lost, tuple(order.shape)) == (20_000, 0.4, (16, 32, 3))


def test_a_whole_picture_is_one_packet_of_all_segments() -> None:
    shape = Shape(32, 32, 85, 0, 4)
    gathering = Gathering(unpack(whole(3, shape, [b"a", b"bc", b"d", b"e"], CarrierOptions())))
    assert gathering.complete
    assert gathering.lost_frac == 0
    assert gathering.segments[1] == b"bc"
