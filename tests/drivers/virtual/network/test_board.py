import asyncio
from pathlib import Path

import pytest

from drivers.virtual.boards import virtual_jetson
from drivers.virtual.network import board as module
from drivers.virtual.network.board import network_of
from drivers.virtual.network.options import NetworkOptions, WayOptions
from drivers.virtual.network.tun import why_not
from testbed.errors import ConfigError
from testbed.model.event import NetworkSeen
from testbed.model.losses import LossOptions

needs_root = pytest.mark.skipif(bool(why_not()), reason=f"no TUN devices here: {why_not()}")
FAR = {"up": {"delay_ms": 12.0}, "down": {"delay_ms": 12.0}}


def test_no_table_no_network(make_spec, tmp_path: Path) -> None:
    way = network_of(make_spec("virtual-jetson"), None, tmp_path)
    assert (way.network, way.wrap, way.facts) == (None, None, {})


def test_without_root_there_is_the_relay_and_the_record_says_so(
    make_spec, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "why_not", lambda: "network namespaces need root")
    way = network_of(make_spec("virtual-jetson"), NetworkOptions(), tmp_path)
    assert way.network is None
    assert way.wrap is not None
    assert "need root" in way.facts["network"]
    with pytest.raises(ConfigError, match="need root"):
        network_of(make_spec("virtual-jetson"), NetworkOptions(backend="tun"), tmp_path)
    lossy = NetworkOptions(up=WayOptions(loss=LossOptions(frac=0.1)))
    with pytest.raises(ConfigError, match="cannot lose"):
        network_of(make_spec("virtual-jetson"), lossy, tmp_path)


def test_a_relay_as_well_is_refused(make_spec, tmp_path: Path) -> None:
    spec = make_spec("virtual-jetson", relay={"delay_ms": 1})
    with pytest.raises(ConfigError, match="either"):
        network_of(spec, NetworkOptions(), tmp_path)


@pytest.mark.parametrize("backend", ["relay", "auto"])
def test_a_missing_trace_is_named_before_anything_runs(make_spec, tmp_path: Path, backend) -> None:
    options = NetworkOptions(up=WayOptions(trace="none.csv"), backend=backend)
    with pytest.raises(ConfigError, match=r"none\.csv"):
        network_of(make_spec("virtual-jetson"), options, tmp_path)


@pytest.mark.parametrize("backend", [pytest.param("tun", marks=needs_root), "relay"])
async def test_a_whole_board_is_reached_over_its_network(make_spec, backend: str) -> None:
    board = virtual_jetson(make_spec("virtual-jetson", network={**FAR, "backend": backend}))
    seen: list[NetworkSeen] = []
    told = asyncio.Event()

    def sink(event: object) -> None:
        if isinstance(event, NetworkSeen) and event.rtt:
            seen.append(event)
            told.set()

    facts = await board.open(sink)
    try:
        assert facts.facts["network"].startswith(backend)
        await board.probe(4)
        await asyncio.wait_for(told.wait(), 10)
        assert min(e.rtt for e in seen) >= 24_000_000
    finally:
        await board.close()
