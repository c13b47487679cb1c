from __future__ import annotations

import asyncio
import time

import pytest

from drivers.meters.ptdaemon import ptdaemon
from drivers.meters.scpi import scpi
from drivers.virtual.meters.ptdaemon import VirtualPtd
from drivers.virtual.meters.scpi import VirtualSupply
from drivers.virtual.meters.serving import TcpServing
from testbed.contracts.board import Listener
from testbed.errors import MeterError
from testbed.model.record import PowerSamples

BOUND_S = 10


@pytest.fixture
def supply():
    supply = VirtualSupply()
    with TcpServing(supply.answer) as serving:
        supply.serving = serving
        supply.draw(5.0)
        yield supply


async def test_samples_come_on_the_loop_on_our_clock_with_name_board_and_total(supply, make_spec):
    meter = scpi(make_spec("scpi", where=supply.serving.where, period_ms=5))
    heard = Listener()
    before = time.monotonic_ns()
    await meter.open(heard)
    await heard.until(lambda: len(heard.events) >= 2, BOUND_S)
    await meter.close()
    for block in heard.events:
        assert isinstance(block, PowerSamples)
        assert (block.board, block.meter, block.boot, block.origin) == ("board", "m", -1, "measured")
        assert (block.rails, block.total, block.faults) == (("input",), ("input",), ())
        assert set(block.power_w) == {5.0}
        assert all(before < t < time.monotonic_ns() for t in block.t)
    assert meter.about["identity"].startswith("Testbed")
    told = len(heard.events)
    await asyncio.sleep(0.05)
    assert len(heard.events) == told


async def test_a_meter_that_is_lost_comes_back_and_the_gap_is_told(supply, make_spec, monkeypatch):
    monkeypatch.setattr("drivers.agent.sampler._RESTART_NS", 20_000_000)
    meter, heard = scpi(make_spec("scpi", where=supply.serving.where, period_ms=5)), Listener()
    await meter.open(heard)
    await heard.until(lambda: len(heard.events) >= 1, BOUND_S)
    supply.serving.mute()
    await heard.until(lambda: any(block.faults for block in heard.events), BOUND_S)
    lost = heard.events[-1].faults[-1]
    assert lost.kind == "lost"
    supply.serving.mend()
    await heard.until(lambda: any(block.t and block.t[-1] > lost.last for block in heard.events), BOUND_S)
    await meter.close()


async def test_one_that_cannot_be_reached_names_itself(supply, make_spec):
    supply.serving.mute()
    meter = scpi(make_spec("scpi", where=supply.serving.where))
    with pytest.raises(MeterError, match="meter m: ") as caught:
        await meter.open(Listener())
    assert caught.value.cure
    await meter.close()


async def test_settling_fixes_ranges_where_there_are_any(supply, make_spec):
    plain = scpi(make_spec("scpi", where=supply.serving.where))
    await plain.open(Listener())
    await plain.settle()
    await plain.close()
    with VirtualPtd() as daemon:
        daemon.draw(20.0)
        spec = make_spec("ptdaemon", where=daemon.where, period_ms=50, settle_s=0.0)
        meter, heard = ptdaemon(spec), Listener()
        await meter.open(heard)
        await heard.until(lambda: any(block.t for block in heard.events), BOUND_S)
        await meter.settle()
        assert meter.about["stage"] == "testing"
        await meter.close()
