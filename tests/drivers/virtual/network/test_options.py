import msgspec
import pytest

from drivers.virtual.network.options import LossOptions, NetworkOptions, WayOptions


@pytest.mark.parametrize(
    "table",
    [
        {"delay_ms": -1},
        {"jitter_ms": -1},
        {"rate_mbit": 0},
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


def test_long_run_share_of_both_models() -> None:
    assert LossOptions(frac=0.05).mean_frac == 0.05
    assert LossOptions(to_bad=0.01, to_good=0.09, bad_frac=0.5, frac=0.1).mean_frac == pytest.approx(0.14)
    assert WayOptions().loss.mean_frac == 0
