import pytest

from testbed.model.datagrams import LossyOptions
from testbed.wire.fragments import LIMIT_BYTES
from testbed.wire.picture import FILLS
from testbed.wire.strips import DECODES


def test_the_most_that_a_packet_carries_is_what_the_wire_allows():
    assert LossyOptions().packet_bytes == LIMIT_BYTES
    with pytest.raises(ValueError, match="packet_bytes"):
        LossyOptions(packet_bytes=LIMIT_BYTES + 1)


def test_every_fill_and_way_of_decoding_has_its_number_on_the_wire():
    hints = LossyOptions.__annotations__
    assert all(repr(name)[1:-1] in hints["fill"] for name in FILLS)
    assert all(repr(name)[1:-1] in hints["decode"] for name in DECODES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quality": 0},
        {"packet_bytes": 1500},
        {"most_lost": 1.5},
        {"wait_ms": 0},
        {"gap_ms": 40},
        {"pace_mbit": 0},
        {"fill": "mean"},
        {"mean": (256,)},
    ],
)
def test_options_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="must|needs"):
        LossyOptions(**wrong)
