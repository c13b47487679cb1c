"""Faults show as they would on the board, and go away by what helps there."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.agent.runtimes.overlay import registers as r
from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.virtual.pynq.fabric import FabricLogic, FaultyFabric, fault_at
from drivers.virtual.pynq.memory import Arena
from drivers.virtual.pynq.model_fabric import Ended, ModelFabric


@pytest.fixture
def fabric():
    return FaultyFabric(
        ModelFabric(Arena(np.zeros(8192, np.uint8), base=0), lambda arena, start: Ended(logits=b"\1"))
    )


def test_without_a_fault_nothing_is_changed(fabric):
    fabric.write(r.CONTROL, r.CONTROL_START)
    assert (fabric.read(r.STATUS), fabric.read(r.ID)) == (r.STATUS_DONE, r.ID_VALUE)


def test_hung_stays_hung_until_the_bitstream_is_loaded(fabric):
    fabric.break_("hung")
    fabric.write(r.CONTROL, r.CONTROL_START)
    fabric.write(r.CONTROL, r.CONTROL_SOFT_RESET)
    assert fabric.read(r.STATUS) == r.STATUS_BUSY
    fabric.configure()
    assert (fabric.read(r.STATUS), fabric.loads, fabric.resets) == (0, 1, 1)


def test_a_bus_error_strikes_once(fabric):
    fabric.break_("bus-error")
    fabric.write(r.CONTROL, r.CONTROL_START)
    assert (fabric.read(r.STATUS), fabric.read(r.ERROR)) == (r.STATUS_ERROR, 3)
    fabric.write(r.CONTROL, r.CONTROL_SOFT_RESET)
    fabric.write(r.CONTROL, r.CONTROL_START)
    assert fabric.read(r.STATUS) == r.STATUS_DONE


def test_a_wrong_bitstream_answers_with_another_id(fabric):
    fabric.break_("wrong-bitstream")
    assert fabric.read(r.ID) != r.ID_VALUE
    fabric.break_(None)
    assert fabric.read(r.ID) == r.ID_VALUE


def test_as_a_logic_it_has_one_ip_and_no_dma(fabric):
    logic = FabricLogic(fabric, "npu_0")
    assert fabric.loads == 1
    logic.reload()
    assert fabric.loads == 2
    assert logic.mmio("npu_0", 4096) is fabric
    for ask in (lambda: logic.mmio("other", 4096), lambda: logic.channels("dma")):
        with pytest.raises(OverlayError):
            ask()
    assert logic.allocate(5).size == 5
    assert logic.facts() == {"device": "FaultyFabric"}
    logic.close()


def test_faults_come_at_the_start_that_they_were_planned_for():
    model = ModelFabric(Arena(np.zeros(8192, np.uint8), base=0), lambda arena, start: Ended(logits=b"\1"))
    fabric = FaultyFabric(model, {0: "wrong-bitstream", 2: "bus-error"})
    assert fabric.read(r.ID) != r.ID_VALUE
    fabric.write(r.CONTROL, r.CONTROL_START)
    assert fabric.read(r.STATUS) == r.STATUS_DONE
    fabric.write(r.CONTROL, r.CONTROL_START)
    assert fabric.read(r.STATUS) == r.STATUS_ERROR


def test_faults_are_named_with_the_start_they_meet():
    assert fault_at("hung@3") == (3, "hung")
    assert fault_at("wrong-bitstream") == (0, "wrong-bitstream")
    with pytest.raises(ValueError, match="no fault 'smoke'"):
        fault_at("smoke@1")
