"""The agent's driver on the overlay's RTL: answers of the integer model, early exits, lost rows, real faults."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.agent.runtimes.overlay import registers as r
from drivers.agent.runtimes.overlay.engine import ALWAYS, NEVER, Engine
from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.boards.programs import SHIPPED
from drivers.npu.golden import Golden
from drivers.npu.program import read
from drivers.virtual.pynq.cycles import read_cycles
from drivers.virtual.pynq.fabric import FabricLogic
from drivers.virtual.pynq.prepare import inputs_of
from drivers.virtual.pynq.rtl_fabric import RtlFabric
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
