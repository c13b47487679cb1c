"""Whole virtual boards: the board contract, then emulation itself and every fault on order."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from drivers.virtual.boards import VirtualBoard, virtual_jetson, virtual_serial
from testbed.contracts.board import BoardContract, Listener
from testbed.errors import BoardError, ConfigError
from testbed.measure.clocksync import fit_clocks
from testbed.model import event as ev
from testbed.model.action import Infer, Item
from testbed.model.record import ClockProbe, PowerSamples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from testbed.model.lab import BoardSpec

    MakeSpec = Callable[..., BoardSpec]

FAST = 921_600
QUICK_TO_GIVE_UP = {"timeout_ms": 1500, "silence_ms": 1500}


class VirtualContract(BoardContract):
    @pytest.fixture
    def kill(self, board: VirtualBoard) -> Callable[[], None]:
        orders: list[asyncio.Task[None]] = []

        def kill() -> None:
            orders.append(asyncio.get_running_loop().create_task(board.faults.kill_agent()))

        return kill


class TestJetsonKeepsTheContract(VirtualContract):
    @pytest.fixture
    def board(self, make_spec: MakeSpec) -> VirtualBoard:
        return virtual_jetson(make_spec("virtual-jetson"))


class TestSerialKeepsTheContract(VirtualContract):
    @pytest.fixture
    def board(self, make_spec: MakeSpec) -> VirtualBoard:
        return virtual_serial(make_spec("virtual-serial", baud=FAST, silence_ms=1500))


class Session(BoardContract):
    """The contract's way of ordering and waiting, for tests of our own."""

    __test__ = False


TALK = Session()
KINDS = {
    "virtual-jetson": (virtual_jetson, {"transport": "paramiko"}),
    "virtual-serial": (virtual_serial, {"baud": FAST}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_ends_each_action_once_and_the_board_serves_again(make_spec: MakeSpec, kind: str) -> None:
    make, options = KINDS[kind]
    board = make(make_spec(kind, **options, **QUICK_TO_GIVE_UP))
    faults: list[tuple[str, dict[str, Any], bool]] = [
        ("garble", {"count": 64}, False),
        ("garble", {"count": 3, "flip": True, "towards": "board"}, False),
        ("stall", {"seconds": 0.3}, False),
        ("kill_agent", {}, True),
        ("cut", {"seconds": 0.2}, True),
        ("reboot", {}, True),
    ]

    async def work(heard: Listener) -> None:
        action = 0
        boots = set()
        for name, arguments, loses_the_board in faults:
            ups = len(heard.of(ev.BoardUp))
            asked = range(action + 1, action + 4)
            for number in asked:
                TALK.infer(board, number)
            await getattr(board.faults, name)(**arguments)
            for number in asked:
                assert isinstance(await heard.fate(number, 30), ev.Executed | ev.Failed)
            if loses_the_board:
                await heard.until(lambda ups=ups: len(heard.of(ev.BoardUp)) > ups, 30)
            action = asked[-1] + 1
            TALK.infer(board, action)
            last = await heard.fate(action, 30)
            assert isinstance(last, ev.Executed), (name, last)
            boots.add(heard.of(ev.BoardUp)[-1].boot)
        assert Counter(heard.fates().values()) == {1: action + 1}  # the load is one more
        assert len(boots) == 4

    TALK.run(board, work, "quick")


def test_stalled_bytes_are_late_and_not_lost(make_spec: MakeSpec) -> None:
    board = virtual_jetson(make_spec("virtual-jetson"))

    async def work(heard: Listener) -> None:
        begun = time.monotonic_ns()
        await board.faults.stall(0.4)
        TALK.infer(board, 1)
        done = await heard.fate(1, 30)
        assert isinstance(done, ev.Executed)
        assert done.t - begun >= 0.4e9

    TALK.run(board, work, "quick")


def test_a_reboot_changes_boot_id_and_clock(make_spec: MakeSpec) -> None:
    board = virtual_jetson(
        make_spec(
            "virtual-jetson", virtual={"clock_offset_ms": 5000.0, "clock_drift_ppm": 0.0, "boot_ms": 100}
        )
    )

    async def work(heard: Listener) -> None:
        await board.probe(8)
        before = heard.of(ClockProbe)[-1]
        # The board's reading less its offset lies between asking and answer, however long those took.
        assert before.t0 <= before.t1 - 5_000_000_000 <= before.t2 - 5_000_000_000 <= before.t3
        await board.faults.reboot()
        await heard.until(lambda: len(heard.of(ev.BoardUp)) == 2, 30)
        await board.probe(8)
        after = heard.of(ClockProbe)[-1]
        assert after.boot > before.boot
        assert abs(after.t1) < 60e9  # its monotonic clock began at this boot

    TALK.run(board, work, "quick")


def test_real_time_scheduling_is_not_asked_for_where_it_is_switched_off(make_spec: MakeSpec) -> None:
    board = virtual_jetson(make_spec("virtual-jetson", virtual={"realtime": False}))

    async def whole() -> Any:
        try:
            return await board.open(Listener())
        finally:
            await board.close()

    facts = asyncio.run(whole()).facts
    assert facts["realtime"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_the_clock_is_found_between_its_probes(make_spec: MakeSpec, kind: str) -> None:
    make, options = KINDS[kind]
    board = make(make_spec(kind, **options))
    steps = (0.2, -0.5)

    async def work(heard: Listener) -> None:
        await board.probe(8)
        for seconds in steps:
            await board.faults.step_clock(seconds)
            await board.probe(8)
        ((key, fit),) = fit_clocks(heard.of(ClockProbe)).fits.items()
        assert key == (board.id, 1)
        assert fit.jumps == 2
        readings = [segment.offset for segment in fit.segments]
        found = [(b - a) / 1e9 for a, b in itertools.pairwise(readings)]
        assert found == pytest.approx(steps, abs=0.1)
        TALK.infer(board, 1)
        assert isinstance(await heard.fate(1, 30), ev.Executed)

    TALK.run(board, work, "quick")


def test_emulation_shows_in_origin_pace_and_power(make_spec: MakeSpec) -> None:
    spec = make_spec("virtual-jetson", meter_period_ms=20, relay={"delay_ms": 15.0})
    board = virtual_jetson(spec)

    async def work(heard: Listener) -> None:
        await heard.until(lambda: bool(heard.of(PowerSamples)), 30)
        rest = list(heard.of(PowerSamples))
        executions = []
        for number in range(1, 21):
            TALK.infer(board, number, model="slow")
        for number in range(1, 21):
            done = await heard.fate(number, 30)
            assert isinstance(done, ev.Executed)
            executions.append(done.execution)
        busy = heard.of(PowerSamples)[len(rest) + 2 :]
        for execution in executions:
            assert execution.origin.value == "emulated"
            assert execution.asked_service == pytest.approx(50e6, rel=1e-3)
            assert execution.finished - execution.started >= execution.asked_service - 50_000
            assert execution.notes["pace_error_ns"] >= -50_000
        assert all(s.total == ("VDD_IN",) and s.origin == "emulated" for s in (*rest, *busy))
        assert mean_w(rest) == pytest.approx(4.0, abs=0.3)
        assert mean_w(busy) == pytest.approx(9.0, abs=1.0)
        await board.probe(4)
        assert min(p.t3 - p.t0 for p in heard.of(ClockProbe)) >= 30e6  # the relay's way, twice

    TALK.run(board, work, "slow")


def mean_w(blocks: list[PowerSamples]) -> float:
    watts = [w for block in blocks for w in block.power_w[:: len(block.rails)]]
    assert watts, "no power samples"
    return float(np.mean(watts))


@pytest.mark.parametrize("answers", ["infer", "replay"])
def test_both_ways_of_answering_give_the_same_labels(make_spec: MakeSpec, zoo: Path, answers: str) -> None:
    board = virtual_jetson(make_spec("virtual-jetson", virtual={"answers": answers, "audit_frac": 0.5}))
    images = np.load(zoo / "test.npz")["images"][:20, None]
    stored = np.load(zoo / "predictions/cnn-tiny.npz")["test_probabilities"][:20].argmax(axis=1)

    async def work(heard: Listener) -> None:
        for i in range(20):
            order = Infer(id=i, board=board.id, model="quick", batch=(Item(request=i),))
            board.send(order, images[i : i + 1], (i,))
        notes: Counter[str] = Counter()
        for i in range(20):
            done = await heard.fate(i, 30)
            assert isinstance(done, ev.Executed)
            assert done.execution.items[0].label == stored[i]
            notes.update({k: int(v) for k, v in done.execution.notes.items()})
        assert notes["replayed"] == (20 if answers == "replay" else 0)
        assert notes["audit_differs"] == 0
        assert (notes["audited"] > 0) == (answers == "replay")

    TALK.run(board, work, "quick")


@pytest.mark.parametrize("kind", KINDS)
def test_a_doctor_finds_everything_in_order(make_spec: MakeSpec, kind: str) -> None:
    make, options = KINDS[kind]

    async def whole() -> dict[str, str]:
        return {result.step: result.state async for result in make(make_spec(kind, **options)).checks()}

    states = asyncio.run(whole())
    assert "failed" not in states.values()
    assert states["virtual machine"] == states["agent"] == states["models"] == "ok"
    assert states.get("host key", "ok") == "ok"


def test_a_model_without_a_profile_is_refused(make_spec: MakeSpec) -> None:
    spec = make_spec("virtual-jetson", models=("quick", "unheard-of"))
    with pytest.raises(ConfigError) as caught:
        virtual_jetson(spec)
    assert caught.value.key == "boards.board.profiles"
    assert "unheard-of" in caught.value.message
    assert caught.value.cure


@pytest.mark.parametrize(
    ("options", "key", "cure"),
    [
        ({"virtual": {"answer": "infer"}}, "boards.board.virtual", ""),
        ({"virtual": {"answers": "guess"}}, "boards.board.virtual.answers", ""),
        ({"transprot": "auto"}, "boards.board.transprot", "Did you mean 'transport'"),
        ({"relay": {"delay": 20}}, "boards.board.relay.delay", "Did you mean 'delay_ms'"),
        ({"relay": {"delay_ms": -1.0}}, "boards.board.relay", ""),
    ],
)
def test_wrong_options_are_named(make_spec: MakeSpec, options: dict[str, Any], key: str, cure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        virtual_jetson(make_spec("virtual-jetson", **options))
    assert caught.value.key.startswith(key)
    assert cure in caught.value.cure


def test_a_fault_on_a_board_that_is_not_open_is_an_error(make_spec: MakeSpec) -> None:
    board = virtual_jetson(make_spec("virtual-jetson"))
    with pytest.raises(BoardError, match="does not run"):
        asyncio.run(board.faults.cut())
