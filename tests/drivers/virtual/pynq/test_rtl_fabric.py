"""The agent's driver on the overlay's RTL: answers of the integer model, early exits, lost rows, real faults."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.agent.runtimes.overlay import registers as r
from drivers.agent.runtimes.overlay.engine import ALWAYS, NEVER, Engine
from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.agent.runtimes.overlay.runtime import OverlayRuntime
from drivers.boards.programs import SHIPPED
from drivers.npu.golden import Golden
from drivers.npu.program import read
from drivers.virtual.pynq.cycles import read_cycles
from drivers.virtual.pynq.fabric import FabricLogic
from drivers.virtual.pynq.golden_fabric import GoldenExecutor
from drivers.virtual.pynq.memory import Arena
from drivers.virtual.pynq.model_fabric import ModelFabric
from drivers.virtual.pynq.prepare import inputs_of
from drivers.virtual.pynq.rtl_fabric import RtlFabric
from testbed.wire import Tensor
from tests.drivers.virtual.pynq.conftest import needs_rtl

pytestmark = [needs_rtl, pytest.mark.timeout(300)]  # the first one here builds the simulation
EXITS = SHIPPED / "resnet8-ee-int8.npu"


@pytest.fixture
def fabric():
    fabric = RtlFabric()
    yield fabric
    assert fabric.simulator.violations == 0
    fabric.close()


@pytest.fixture
def engine(fabric):
    return Engine(FabricLogic(fabric, "npu_0"), "npu_0", timeout_s=30.0)


def test_every_exit_and_lost_rows_are_as_the_integer_model_says(engine, images):
    program, placed = read(EXITS), engine.place(read_program(EXITS.read_bytes()))
    golden, table = Golden(program), read_cycles(EXITS, program.sha256, 3)
    given = inputs_of(program, images[:2])
    for number in range(3):
        limits = [ALWAYS if k == number else NEVER for k in range(3)]
        for mask in (0, 0b1111 << 10):
            for one, result in zip(given, golden.run(given, limits, mask), strict=True):
                placed.given[:] = one.view(np.uint8)
                record = engine.run(placed, limits, mask)
                assert (record.exit, record.label, record.total) == (number, result.label, result.total)
                assert record.logits == result.logits.tobytes()
                if table.origin == "simulated":
                    assert abs(record.cycles - table.of(number)[0]) <= 64


def test_rows_lost_on_the_way_are_left_out_and_the_answer_is_that_of_their_mean(fabric, images):
    """Through the agent's runtime, on RTL and on the integer model: rows hold another image, the overlay masks them."""
    program = read(EXITS)
    mean = program.input.map.index(program.input.neutral)
    lost = 0xFF << 8 | 0xFF << 16
    filled = images[:2].copy()
    filled[:, :, 8:24] = mean
    wanted = Golden(program).run(inputs_of(program, filled), [NEVER, NEVER, ALWAYS])
    model = ModelFabric(Arena(np.zeros(1 << 20, np.uint8)), GoldenExecutor())
    told = {"overlay": {"name": "edge-npu", "kind": "edge-npu", "ip": "npu_0"}, "timeout_ms": 30_000}
    for logic in (FabricLogic(fabric, "npu_0"), FabricLogic(model, "npu_0")):
        runtime = OverlayRuntime(lambda manifest, files, logic=logic: logic)
        runtime.load("net", [str(EXITS)], told, 1)
        for seen, result in zip(filled, wanted, strict=True):
            given = Tensor("uint8", (1, *seen.shape), seen.tobytes())
            done = runtime.run("net", 0, (given,), ((2.0, 2.0),), (0,), (-1,), frozenset, lost)
            assert done.report["rows_masked"] == 16
            scores = np.frombuffer(done.outputs[0].data, np.float32)
            assert scores.argmax() == result.label
            assert scores.max() == pytest.approx(32768 / result.total, rel=1e-6)


def test_a_bus_error_is_reported_and_a_soft_reset_brings_it_back(fabric, engine, program):
    placed = engine.place(read_program((SHIPPED / "resnet8-int8.npu").read_bytes()))
    good = engine.run(placed, [ALWAYS])
    fabric.simulator.bus_error(placed.given.device_address)
    with pytest.raises(OverlayError, match="AXI read error.*soft reset") as caught:
        engine.run(placed, [ALWAYS])
    assert caught.value.code == 3
    fabric.simulator.heal()
    assert engine.run(placed, [ALWAYS]).logits == good.logits


def test_memory_that_never_answers_ends_by_the_overlays_own_watchdog_or_ours(fabric, engine):
    placed = engine.place(read_program((SHIPPED / "resnet8-int8.npu").read_bytes()))
    good = engine.run(placed, [ALWAYS])
    fabric.simulator.hang()
    reload = fabric.configure

    def heal_and_reload() -> None:
        fabric.simulator.heal()
        reload()

    fabric.configure = heal_and_reload
    with pytest.raises(OverlayError, match="watchdog|did not end"):
        engine.run(placed, [ALWAYS])
    fabric.simulator.heal()
    assert engine.run(placed, [ALWAYS]).logits == good.logits


def test_loading_the_bitstream_forgets_the_program(fabric, engine):
    fabric.write(r.PROGRAM_HASH, 5)
    fabric.configure()
    assert (fabric.read(r.PROGRAM_HASH), fabric.read(r.ID)) == (0, r.ID_VALUE)
