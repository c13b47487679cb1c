"""Meters and switches of a lab file: made, opened, told of, and said why not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from drivers.virtual.meters.scpi import VirtualSupply
from drivers.virtual.meters.serving import TcpServing
from testbed.contracts.board import Listener
from testbed.coordinator.instruments import Instruments, build_meters, build_switches, examine_meter
from testbed.coordinator.labfile import LabFile, parse_lab
from testbed.errors import ConfigError, MeterError
from testbed.model.lab import BoardFacts

BOARD = {"kind": "local", "site": "dc", "models": []}


@pytest.fixture
def supply():
    supply = VirtualSupply()
    supply.draw(7.5)
    with TcpServing(supply.answer) as serving:
        supply.serving = serving
        yield supply


def lab(meters=(), switches=()) -> LabFile:
    raw = {
        "schema": 1,
        "name": "x",
        "boards": {"a": BOARD, "b": BOARD},
        "meters": dict(meters),
        "switches": dict(switches),
    }
    return parse_lab("", raw, Path("lab.toml"))


def metered(supply, **changes) -> LabFile:
    table = {"kind": "scpi", "feeds": "a", "where": supply.serving.where, "period_ms": 5}
    return lab(meters={"psu": table | changes})


class Board:
    """What `Instruments` asks of an inventory."""

    def __init__(self, **facts):
        told = BoardFacts(
            id="a",
            kind="local",
            site="dc",
            boot_id="",
            agent_sha256="",
            facts=facts,
            origin="measured",
            link_origin="measured",
        )
        self.facts = {"a": told}
        self.listener = Listener()
        self.heard = self.listener.events


async def test_samples_go_where_the_board_s_events_go_and_its_facts_tell_of_the_meter(supply, tmp_path):
    inventory = Board(meters={"ina3221": {"total": ["VDD_IN"]}})
    table = {"gain_frac": 0.01, "source": "data sheet", "metered": "wall"}
    instruments = Instruments(metered(supply, **table), tmp_path)
    await instruments.open(inventory)
    await instruments.settle(inventory)
    await instruments.close()
    assert {(block.board, block.meter, block.power_w[0]) for block in inventory.heard if block.t} == {
        ("a", "psu", 7.5)
    }
    facts = inventory.facts["a"]
    assert set(facts.facts["meters"]) == {"ina3221", "psu"}
    assert facts.facts["meters"]["psu"]["identity"].startswith("Testbed")
    assert (facts.meters["psu"].metered, facts.meters["psu"].gain_frac) == (
        "wall",
        pytest.approx(0.01 / 3**0.5),
    )


async def test_a_meter_named_like_one_of_the_board_s_own_is_refused(supply, tmp_path):
    instruments = Instruments(metered(supply), tmp_path)
    with pytest.raises(ConfigError, match="itself") as caught:
        await instruments.open(Board(meters={"psu": {}}))
    assert caught.value.key == "meters.psu"
    await instruments.close()


async def test_a_meter_that_gives_nothing_but_faults_is_no_meter(supply, tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.coordinator.instruments.FIRST_LIMIT", 500_000_000)
    supply.garble()
    instruments = Instruments(metered(supply), tmp_path)
    with pytest.raises(MeterError, match="psu gave no sample within .*: garbage") as caught:
        await instruments.open(Board())
    assert "doctor" in caught.value.cure
    await instruments.close()


async def test_a_meter_that_was_lost_is_waited_for_until_it_is_back_but_not_for_ever(
    supply, tmp_path, monkeypatch
):
    instruments = Instruments(metered(supply), tmp_path)
    board = Board()
    await instruments.open(board)
    supply.serving.mute()
    await board.listener.until(
        lambda: any(fault.kind == "lost" for block in board.heard for fault in block.faults), 10
    )
    waiting = asyncio.create_task(instruments.ready())
    supply.serving.mend()
    async with asyncio.timeout(10):
        await waiting
    supply.serving.mute()
    monkeypatch.setattr("testbed.coordinator.instruments.FIRST_LIMIT", 1_500_000_000)
    with pytest.raises(MeterError, match="psu gave no sample"):
        for _ in range(2):  # the first may still hear what was under way
            await instruments.ready()
    await instruments.close()


async def test_doctor_hears_a_sample_or_says_why_not(supply, tmp_path, monkeypatch):
    (meter,) = build_meters(metered(supply), tmp_path)
    result = await examine_meter(meter)
    assert (result.step, result.state) == ("meter psu", "ok")
    assert "Testbed,Virtual Supply,0,1.0: input 7.5 W; total is input" in result.finding
    monkeypatch.setattr("testbed.coordinator.instruments.FIRST_LIMIT", 500_000_000)
    supply.saturate()
    result = await examine_meter(build_meters(metered(supply), tmp_path)[0])
    assert (result.state, "saturated" in result.finding) == ("failed", True)
    supply.serving.mute()
    result = await examine_meter(build_meters(metered(supply), tmp_path)[0])
    assert result.state == "failed"
    assert result.cure


def test_switches_are_made_by_board():
    table = {"kind": "command", "feeds": "b", "on": ["true"], "off": ["true"]}
    made = build_switches(lab(switches={"plug": table}))
    assert set(made) == {"b"}
    asyncio.run(made["b"].on())


@pytest.mark.parametrize(
    ("tables", "key", "says"),
    [
        ({"meters": {"m": {"kind": "scp", "feeds": "a"}}}, "meters.m.kind", "Did you mean 'scpi'"),
        ({"switches": {"s": {"kind": "comand", "feeds": "a"}}}, "switches.s.kind", "Did you mean 'command'"),
        ({"meters": {"m": {"kind": "scpi", "feeds": "a"}}}, "meters.m.where", "is missing"),
    ],
)
def test_a_wrong_table_names_file_key_and_cure(tables, key, says):
    with pytest.raises(ConfigError) as caught:
        build_meters(lab(**tables), Path())
        build_switches(lab(**tables))
    assert (caught.value.file, caught.value.key) == ("lab.toml", key)
    assert says in str(caught.value)


async def test_closing_what_never_opened_is_no_error(supply, tmp_path):
    instruments = Instruments(metered(supply), tmp_path)
    instruments.meters.append(SimpleNamespace(close=instruments.meters[0].close))
    await instruments.close()
