import pytest

from drivers.virtual.network.options import NetworkOptions
from drivers.virtual.transports.options import CarrierOptions
from testbed.campaign.loss.live_spec import Live, network_table
from testbed.model.lab import parse_options


def test_every_client_gets_its_share() -> None:
    assert Live(requests=10_000, networks=6, clients=10).each == 167


@pytest.mark.parametrize(("burst", "loss"), [(1.0, 0.0), (1.0, 0.05), (4.0, 0.05), (4.0, 0.2), (4.0, 0.0)])
def test_the_network_loses_what_was_asked_for(tmp_path, burst, loss) -> None:
    table = network_table(Live(rtt_ms=40.0), loss, burst)
    options = parse_options(table, NetworkOptions, file=tmp_path, key="")
    for way in (options.up, options.down):
        assert way.loss.mean_frac == pytest.approx(loss)
        assert way.delay_ms == 20.0
        if burst > 1 and loss:
            assert 1 / way.loss.to_good == burst


def test_the_driver_knows_every_option(tmp_path) -> None:
    options = parse_options(Live().options, CarrierOptions, file=tmp_path, key="")
    assert options.redundancy == Live().redundancy


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"requests": 0}, "requests"),
        ({"clients": 0}, "networks"),
        ({"rate_hz": 0.0}, "rate_hz"),
        ({"mosaic": 0}, "pictures"),
        ({"losses": (0.05, 1.0)}, "losses"),
        ({"losses": (0.1,)}, "losses"),
        ({"congestion": ()}, "congestion"),
        ({"limit_s": 0.0}, "limit_s"),
    ],
)
def test_what_is_out_of_range_is_named(more, key) -> None:
    assert Live().wrong(0.05) is None
    found = Live(**more).wrong(0.05)
    assert found is not None
    assert found[0] == key
