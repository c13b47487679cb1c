from __future__ import annotations

import asyncio

import numpy as np
import pytest

from drivers.boards.board import AgentBoard
from drivers.boards.composition import CommonOptions, Composition
from testbed.contracts.board import Listener
from testbed.errors import BoardError, LeaseError, LinkError
from testbed.model import event as ev
from testbed.model.action import Infer, Item, Load
from testbed.model.record import PowerSamples, SampleFault
from testbed.wire import messages as m

BOUND_S = 20


def board_on(far_side, spec, **changes):
    return AgentBoard(spec, Composition(kind="test", make_link=lambda: far_side, **changes))


@pytest.fixture
def stocked(far_side, make_spec):
    """A far side that has every file and loads every model."""
    spec = make_spec()
    size = spec.models["quick"].paths[0].stat().st_size
    far_side.replies[m.AskBlob] = lambda x: [m.BlobState(x.sha256, size, True, "")]
    far_side.replies[m.LoadModel] = lambda x: [m.Loaded(x.request, x.model, True, 1, 2, "")]
    return far_side, spec


async def test_a_refusing_agent_cannot_be_opened_and_leaves_nothing_behind(far_side, make_spec):
    far_side.replies[m.Hello] = lambda _: [m.Refused("busy", "somebody is here")]
    closed = []

    async def close():
        closed.append(True)

    board = board_on(far_side, make_spec(), close=close)
    with pytest.raises(LeaseError, match="somebody is here"):
        await board.open(Listener())
    assert closed
    assert not far_side.open_


async def test_orders_before_open_fail(far_side, make_spec):
    board, heard = board_on(far_side, make_spec()), Listener()
    await board.open(heard)
    await board.close()
    board.send(Load(id=3, board="board", model="quick"))
    assert (await heard.fate(3, BOUND_S)).error == "the board is down"


async def test_action_numbers_go_on_over_connections(stocked):
    far_side, spec = stocked
    board, heard = board_on(far_side, spec), Listener()
    await board.open(heard)
    for round_ in range(2):
        order = Infer(id=round_, board="board", model="quick", batch=(Item(request=1),))
        board.send(order, np.zeros((1, 4), np.uint8))
        await heard.until(lambda n=round_: len(heard.of(ev.Sent)) == n + 1, BOUND_S)
        far_side.die()
        await heard.until(lambda n=round_: len(heard.of(ev.BoardUp)) == n + 2, BOUND_S)
    await board.close()
    assert [x.action for x in far_side.of(m.Infer)] == [1, 2]
    assert [e.boot for e in heard.of(ev.BoardUp)] == [1, 2, 3]


async def test_settings_are_held_over_connections_and_put_back(stocked):
    far_side, spec = stocked
    far_side.replies[m.Settings] = lambda x: [m.SettingsReply(x.request, True, x.value, "")]
    board, heard = board_on(far_side, spec, settings={"power-mode": "2"}), Listener()
    facts = await board.open(heard)
    assert facts.facts["settings_held"] == {"power-mode": "2"}
    far_side.die()
    await heard.until(lambda: len(heard.of(ev.BoardUp)) == 2, BOUND_S)
    await board.close()
    assert [x.value for x in far_side.of(m.Settings)] == ["2", "2", "restore"]


async def test_a_setting_the_board_refuses_keeps_it_from_opening(far_side, make_spec):
    far_side.replies[m.Settings] = lambda x: [m.SettingsReply(x.request, False, "", "not permitted")]
    board = board_on(far_side, make_spec(), settings={"power-mode": "2"})
    with pytest.raises(BoardError, match="not permitted"):
        await board.open(Listener())


METERS = {
    "meter": "ina",
    "meters": {"ina": {"rails": ["VDD_IN", "VDD_SOC"], "total": ["VDD_IN"]}, "tegrastats": {}},
    "meters_absent": {"nvml": "no NVIDIA driver"},
}


async def test_meters_stream_where_asked_for(far_side, make_spec):
    far_side.replies[m.Hello] = lambda x: [far_side.welcome(x, facts=METERS)]
    rows = (5.0, 1.0, 6.0, 2.0)
    far_side.replies[m.Meter] = lambda _: [
        m.PowerSamples("ina", ("VDD_IN", "VDD_SOC"), (10, 20), rows, 3, ("saturated",), (2,), (12, 14))
    ]
    board, heard = board_on(far_side, make_spec(), common=CommonOptions(meter_period_ms=20)), Listener()
    await board.open(heard)
    await heard.until(lambda: bool(heard.of(PowerSamples)), BOUND_S)
    await board.close()
    (samples,) = heard.of(PowerSamples)
    assert (samples.t, samples.power_w, samples.total, samples.dropped) == ((10, 20), rows, ("VDD_IN",), 3)
    assert samples.faults == (SampleFault(kind="saturated", first=12, last=14, count=2),)
    (asked,) = far_side.of(m.Meter)
    assert (asked.meter, asked.period_ns) == ("ina", 20_000_000)


async def test_meters_can_be_named_and_a_missing_one_says_why(far_side, make_spec):
    far_side.replies[m.Hello] = lambda x: [far_side.welcome(x, facts=METERS)]
    both = CommonOptions(meter_period_ms=20, meters=("ina", "tegrastats"))
    board = board_on(far_side, make_spec(), common=both)
    await board.open(Listener())
    await board.close()
    assert [x.meter for x in far_side.of(m.Meter)] == ["ina", "tegrastats"]
    board = board_on(far_side, make_spec(), common=CommonOptions(meter_period_ms=20, meters=("nvml",)))
    with pytest.raises(BoardError, match="no NVIDIA driver"):
        await board.open(Listener())


async def test_a_load_under_way_fails_with_the_link(stocked):
    far_side, spec = stocked
    far_side.replies[m.LoadModel] = lambda _: far_side.die() or []
    board, heard = board_on(far_side, spec), Listener()
    await board.open(heard)
    board.send(Load(id=1, board="board", model="quick"))
    board.send(Load(id=2, board="board", model="slow"))
    await heard.until(lambda: bool(heard.of(ev.BoardDown)), BOUND_S)
    assert [type(e) for e in heard.events[1:]][:3] == [ev.Failed, ev.Failed, ev.BoardDown]
    await board.close()
    assert set(heard.fates().values()) == {1}


async def test_a_newer_run_takes_the_board_for_good(far_side, make_spec):
    board, heard = board_on(far_side, make_spec()), Listener()
    await board.open(heard)
    far_side.replies[m.Hello] = lambda _: [m.Refused("fence", "taken")]
    far_side.die()
    await heard.until(lambda: len(heard.of(ev.BoardDown)) == 2, BOUND_S)
    await asyncio.sleep(0.5)  # several back-offs would fit
    await board.close()
    assert far_side.opened == 2
    lost, taken = heard.of(ev.BoardDown)
    assert (lost.taken, taken.taken) == (False, True)
    assert "taken" in taken.error


async def test_another_board_at_the_same_address_is_not_taken_for_ours(stocked):
    far_side, spec = stocked
    hostname, boots = ["orin", "nano", "orin"], ["b", "b", "c"]
    far_side.replies[m.Hello] = lambda x: [
        far_side.welcome(x, facts={"hostname": hostname.pop(0)}, boot_id=boots.pop(0))
    ]
    board, heard = board_on(far_side, spec), Listener()
    await board.open(heard)
    far_side.die()
    await heard.until(lambda: len(heard.of(ev.BoardUp)) == 2, BOUND_S)
    await board.close()
    assert [e.boot for e in heard.of(ev.BoardUp)] == [1, 3], "the second connection led elsewhere"
    assert [e.boot_id for e in heard.of(ev.BoardUp)] == ["b", "c"]


async def test_what_prepare_says_comes_out(far_side, make_spec):
    async def prepare():
        raise LinkError("no way there", link="x", cure="Dig")

    with pytest.raises(LinkError, match="no way there"):
        await board_on(far_side, make_spec(), prepare=prepare).open(Listener())


async def test_facts_are_what_the_agent_told(far_side, make_spec):
    facts = {"machine": "aarch64", "memory_bytes": 8}
    far_side.replies[m.Hello] = lambda x: [far_side.welcome(x, facts=facts, agent_sha256="ab")]
    board = board_on(far_side, make_spec(), origin="emulated", link_origin="emulated")
    told = await board.open(Listener())
    await board.close()
    assert (told.facts, told.memory_bytes, told.agent_sha256) == (facts, 8, "ab")
    assert (told.origin, told.link_origin, told.boot_id) == ("emulated", "emulated", "b")


async def test_an_error_of_the_driver_itself_does_not_hang_open(far_side, make_spec):
    async def prepare():
        raise ZeroDivisionError

    board = board_on(far_side, make_spec(), prepare=prepare)
    async with asyncio.timeout(BOUND_S):
        with pytest.raises(BoardError) as caught:
            await board.open(Listener())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_orders_in_the_moment_of_the_loss_end_once(stocked):
    far_side, spec = stocked
    board, heard = board_on(far_side, spec), Listener()
    await board.open(heard)
    far_side.die()
    for action in range(30):
        order = Infer(id=action, board="board", model="quick", batch=(Item(request=1),))
        board.send(order, np.zeros((1, 4), np.uint8))
        board.send(Load(id=100 + action, board="board", model="no-such-model"))
        await asyncio.sleep(0)
    await heard.until(lambda: bool(heard.of(ev.BoardDown)), BOUND_S)
    await board.close()
    assert set(heard.fates()) == {*range(30), *range(100, 130)}
    assert set(heard.fates().values()) == {1}


async def test_a_board_that_is_open_is_not_opened_twice(stocked):
    far_side, spec = stocked
    board = board_on(far_side, spec)
    await board.open(Listener())
    with pytest.raises(BoardError, match="open already"):
        await board.open(Listener())
    await board.close()


async def test_a_board_tells_how_it_stands(stocked):
    far_side, spec = stocked
    far_side.replies[m.Settings] = lambda x: [
        m.SettingsReply(x.request, x.name == "condition", "{}", "no such thing")
    ]
    board = board_on(far_side, spec)
    with pytest.raises(BoardError, match="down"):
        await board.tell("condition")
    await board.open(Listener())
    assert await board.tell("condition") == "{}"
    assert far_side.of(m.Settings)[-1].value == "", "asked, not set"
    with pytest.raises(BoardError, match="no such thing"):
        await board.tell("mood")
    await board.close()
