"""One simulated overlay for all tests of a session; without Verilator or g++ they are skipped with that reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drivers.npu.rtl import Rtl
from drivers.npu.simulator import SimulatorMissing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _session_rtl() -> Iterator[Rtl]:
    try:
        made = Rtl()
    except SimulatorMissing as error:
        pytest.skip(str(error))
    with made.simulator:
        yield made


@pytest.fixture
def rtl(_session_rtl: Rtl) -> Iterator[Rtl]:
    """After reset and without faults; scratch memories hold what the test before left there."""
    _session_rtl.simulator.heal()
    _session_rtl.simulator.hard_reset()
    yield _session_rtl
    broken = _session_rtl.simulator.violations
    assert broken == 0, f"the overlay broke rules of AXI: {broken:#x}"
