import pytest

from drivers.virtual.transports.options import CarrierOptions
from testbed.wire.picture import FILLS


def test_the_fill_is_one_of_the_wires() -> None:
    assert FILLS[CarrierOptions(fill="linear").fill_index] == "linear"


@pytest.mark.parametrize(
    "wrong",
    [
        {"packet_bytes": 100},
        {"packet_bytes": 1400},
        {"wait_ms": 0},
        {"gap_ms": 40},
        {"most_lost": 1.1},
        {"redundancy": 0},
        {"silence_ms": 0},
        {"service_ms": -1},
    ],
)
def test_what_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(ValueError):
        CarrierOptions(**wrong)
