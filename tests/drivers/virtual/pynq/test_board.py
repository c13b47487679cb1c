"""A virtual PYNQ board is a board like any other: over SSH, with the agent's own runtime, answered by the model."""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest

from drivers.virtual.pynq.board import virtual_pynq, why_no_audit
from testbed.contracts.board import Listener
from testbed.errors import ConfigError
from testbed.model import event as ev
from testbed.model.action import Infer, Item, Load, Transport
from testbed.model.lab import BoardSpec, ModelFiles
from testbed.store.profiles import load_profile
from tests.drivers.virtual.pynq.conftest import MODEL, ROOT, ZOO

PROFILE = load_profile(ROOT / f"hwprofiles/virtual-pynq/{MODEL}.toml")


@pytest.fixture
def make_spec(tmp_path):
    def make(model=MODEL, **options):
        network = ZOO / f"{model}.onnx"
        sha256 = hashlib.sha256(network.read_bytes()).hexdigest()
        return BoardSpec(
            id="fpga",
            kind="virtual-pynq",
            site="edge",
            options=options,
            file=tmp_path / "lab.toml",
            models={model: ModelFiles(name=model, task="t", paths=(network,), sha256=(sha256,))},
            profiles={model: PROFILE},
            state=tmp_path / "state",
            fence=time.time_ns(),
        )

    return make


async def test_it_answers_as_the_model_in_the_time_of_its_profile(make_spec, images, expected):
    board, heard = virtual_pynq(make_spec(virtual={"realtime": False})), Listener()
    try:
        facts = await board.open(heard)
        assert (facts.kind, facts.origin) == ("virtual-pynq", "emulated")
        assert facts.facts["temperature_c"]["temp0"] == pytest.approx(45, abs=0.2)
        assert "PYNQ-Z2" in str(facts.facts["runtimes"]["overlay"]["board"])
        assert facts.facts["audit"] == (why_no_audit() or "on the RTL")
        board.send(Load(id=1, board="fpga", model=MODEL, instances=1))
        assert isinstance(await heard.fate(1, 30), ev.Loaded)
        for number, image in enumerate(images, start=2):
            order = Infer(id=number, board="fpga", model=MODEL, batch=(Item(request=number),))
            board.send(order, image[None], (-1,))
            done = await heard.fate(number, 30)
            assert isinstance(done, ev.Executed), done
            (item,), result = done.execution.items, expected[number - 2]
            assert item.label == result.label
            assert item.confidence == pytest.approx(32768 / result.total, rel=1e-6)
            row = PROFILE.service[0]
            assert row.ms[0] <= done.execution.asked_service / 1e6 <= row.ms[-1]
            assert done.execution.notes["pl_cycles"] > 0
    finally:
        await board.close()


async def test_rows_that_were_lost_are_masked_in_the_overlay(make_spec, images, program):
    mean = program.input.map.index(program.input.neutral)
    spec = make_spec(
        virtual={"realtime": False, "audit_frac": 1.0},
        lossy={"fill": "mean", "mean": [mean], "packet_bytes": 256, "most_lost": 0.9, "silence_ms": 5000},
        network={"backend": "relay", "up": {"loss": {"frac": 0.2}}},
    )
    board, heard = virtual_pynq(spec), Listener()
    hurt, other = [], []
    try:
        facts = await board.open(heard)
        assert facts.facts["lossy_orders"] == "taken"
        board.send(Load(id=1, board="fpga", model=MODEL, instances=1))
        await heard.fate(1, 30)
        for number in range(2, 60):
            image = images[number % len(images)]
            order = Infer(
                id=number,
                board="fpga",
                model=MODEL,
                batch=(Item(request=number),),
                transport=Transport.LOSSY,
            )
            board.send(order, image[None], (-1,))
            done = await heard.fate(number, 30)
            if isinstance(done, ev.Executed) and done.execution.notes["packets_lost"]:
                hurt.append(done.execution)
            else:
                other.append(done)
            if len(hurt) >= 4:
                break
    finally:
        await board.close()
    assert len(hurt) >= 4, other
    for execution in hurt:
        # A packet here is a row of segments or two: 8 rows each, 4 in the last one.
        assert execution.notes["rows_masked"] / 28 == pytest.approx(execution.notes["lost_frac"], abs=0.15)
        assert execution.notes.get("rtl_answers_differ", 0) == 0


@pytest.mark.parametrize(("fault", "helped"), [("hung@3", "reload"), ("bus-error@3", "soft reset")])
async def test_a_fault_of_the_logic_fails_one_execution_and_is_mended(
    make_spec, images, expected, fault, helped
):
    spec = make_spec(virtual={"realtime": False}, faults=[fault])
    board, heard = virtual_pynq(spec), Listener()
    try:
        await board.open(heard)
        board.send(Load(id=1, board="fpga", model=MODEL, instances=1))
        await heard.fate(1, 30)
        fates = []
        for number in (2, 3, 4):  # start 1 of the logic is the setup, start 3 the second image
            order = Infer(id=number, board="fpga", model=MODEL, batch=(Item(request=number),))
            board.send(order, images[number - 2][None], (-1,))
            fates.append(await heard.fate(number, 30))
        good, bad, again = fates
        assert isinstance(bad, ev.Failed)
        assert f"brought back by {helped}" in bad.error
        for done, result in ((good, expected[0]), (again, expected[2])):
            assert done.execution.items[0].label == result.label
    finally:
        await board.close()


async def test_another_bitstream_is_told_when_the_model_is_loaded(make_spec):
    board, heard = (
        virtual_pynq(make_spec(virtual={"realtime": False}, faults=["wrong-bitstream"])),
        Listener(),
    )
    try:
        await board.open(heard)
        board.send(Load(id=1, board="fpga", model=MODEL, instances=1))
        load = await heard.fate(1, 30)
        assert isinstance(load, ev.Failed)
        assert "0x0badf00d" in load.error
    finally:
        await board.close()


def test_an_unknown_fault_is_refused(make_spec):
    with pytest.raises(ConfigError, match="no fault 'smoke'"):
        virtual_pynq(make_spec(faults=["smoke"]))


async def test_a_killed_agent_comes_back_with_its_model(make_spec, images):
    board, heard = virtual_pynq(make_spec(virtual={"realtime": False})), Listener()
    try:
        await board.open(heard)
        board.send(Load(id=1, board="fpga", model=MODEL, instances=1))
        await heard.fate(1, 30)
        await board.faults.kill_agent()
        await heard.until(lambda: len(heard.of(ev.BoardUp)) > 1, 30)
        board.send(Infer(id=2, board="fpga", model=MODEL, batch=(Item(request=1),)), images[:1], (-1,))
        assert isinstance(await heard.fate(2, 30), ev.Executed)
    finally:
        await asyncio.shield(board.close())


def test_a_model_without_a_program_or_a_profile_is_refused(make_spec):
    with pytest.raises(ConfigError, match="no program was compiled from cnn-tiny") as caught:
        virtual_pynq(make_spec("cnn-tiny"))
    assert caught.value.key == "boards.fpga.models"
    spec = make_spec()
    spec.profiles.clear()
    with pytest.raises(ConfigError, match="no profile"):
        virtual_pynq(spec)
    with pytest.raises(ConfigError, match="unknown key"):
        virtual_pynq(make_spec(answers="replay"))


def test_why_the_rtl_is_not_run_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert why_no_audit().startswith("not on the RTL")
