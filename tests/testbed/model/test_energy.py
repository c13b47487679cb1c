from __future__ import annotations

import numpy as np
import pytest

from testbed.model.energy import Energy, PowerTrace
from testbed.model.origin import Origin


def trace(t: list[int], power_w: list[float]) -> PowerTrace:
    return PowerTrace(
        t=np.array(t, dtype=np.int64),
        power_w=np.array(power_w),
        rail="VDD_IN",
        meter="ina3221",
        board="jetson",
        origin=Origin.EMULATED,
    )


def test_a_trace_is_checked_once():
    assert trace([1, 2, 3], [5.0, 5.1, 5.2]).rail == "VDD_IN"
    with pytest.raises(ValueError, match=r"both be \(n,\)"):
        trace([1, 2], [5.0])
    with pytest.raises(ValueError, match="increase strictly"):
        trace([1, 1], [5.0, 5.0])


def test_net_energy_needs_both_its_parts():
    known = Energy(gross_j=10.0, idle_j=4.0, sigma_j=0.1, scope="jetson", origin=Origin.EMULATED)
    assert known.net_j == 6.0
    for gross, idle in ((None, 4.0), (10.0, None)):
        part = Energy(
            gross_j=gross, idle_j=idle, sigma_j=None, scope="", origin=Origin.MEASURED, reason="no meter"
        )
        assert part.net_j is None
