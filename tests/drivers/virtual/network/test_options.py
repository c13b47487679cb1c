import msgspec
import pytest

from drivers.virtual.network.options import NetworkOptions


@pytest.mark.parametrize(
    "table",
    [
        {"delay_ms": -1},
        {"jitter_ms": -1},
        {"rate_mbit": 0},
        {"rate_mbit": float("nan")},
        {"delay_ms": float("nan")},
        {"jitter_ms": float("inf")},
        {"queue_bytes": 0},
        {"rate_mbit": 1.0, "trace": "x.csv"},
        {"loss": {"frac": 1.5}},
        {"loss": {"to_bad": 0.1, "to_good": 0.0}},
        {"losses": {}},
    ],
)
def test_what_no_way_can_be_is_refused(table) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"up": table}, NetworkOptions)
