"""What lies in memory is executed: a zoo program through registers, against the integer model called directly."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.agent.runtimes.overlay.engine import ALWAYS, NEVER, Engine
from drivers.agent.runtimes.overlay.layout import Layout
from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.boards.programs import SHIPPED
from drivers.npu.golden import Golden
from drivers.npu.isa import Load
from drivers.virtual.pynq.fabric import FabricLogic
from drivers.virtual.pynq.golden_fabric import GoldenExecutor
from drivers.virtual.pynq.memory import Arena
from drivers.virtual.pynq.model_fabric import ModelFabric
from tests.drivers.virtual.pynq.conftest import MODEL


@pytest.fixture
def engine():
    executor = GoldenExecutor(lambda key, exit_: (key & 0xFF, exit_) if exit_ >= 0 else (9, 0))
    fabric = ModelFabric(Arena(np.zeros(1 << 20, np.uint8)), executor)
    return Engine(FabricLogic(fabric, "npu_0"), "npu_0")


@pytest.fixture
def placed(engine):
    return engine.place(read_program((SHIPPED / f"{MODEL}.npu").read_bytes()))


def test_registers_and_memory_give_what_the_model_gives(engine, placed, images, expected):
    layout = Layout(placed.program.input, placed.given)
    for image, result in zip(images, expected, strict=True):
        layout.fill(image)
        record = engine.run(placed, [ALWAYS])
        assert (record.exit, record.label, record.total) == (result.exit, result.label, result.total)
        assert record.logits == result.logits.tobytes()
        assert record.cycles == placed.key & 0xFF


def test_lost_rows_are_masked_as_the_model_masks_them(engine, placed, program, images):
    layout = Layout(placed.program.input, placed.given)
    layout.fill(images[0])
    mask = sum(1 << row for row in range(4, 14))
    record = engine.run(placed, [ALWAYS], mask)
    given = np.asarray(placed.given).view(np.int8)[None, :]
    (result,) = Golden(program).run(given, [ALWAYS], mask)
    assert (record.total, record.logits) == (result.total, result.logits.tobytes())
    assert record.logits != engine.run(placed, [ALWAYS]).logits


def test_what_is_no_command_is_reported_by_its_code(engine, placed):
    at = placed.program.run.offset
    placed.image[at] = 0x77
    with pytest.raises(OverlayError, match="bad opcode") as caught:
        engine.run(placed, [NEVER])
    assert caught.value.code == 1


def test_an_address_outside_of_the_overlay_is_reported_by_its_code(engine, placed):
    at = placed.program.run.offset
    raw = Load(memory=0, base=1, offset=0, address=16384, length=64).encode()
    placed.image[at : at + len(raw)] = np.frombuffer(raw, np.uint8)
    with pytest.raises(OverlayError, match="bad address") as caught:
        engine.run(placed, [NEVER])
    assert caught.value.code == 2
