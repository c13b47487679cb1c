"""Arrival processes."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.units import S
from testbed.workload.arrivals import Arrivals, draw_arrivals


def test_constant_gaps_are_equal() -> None:
    times = draw_arrivals(Arrivals(process="constant", rate_hz=50), 100, np.random.default_rng(0))
    assert set(np.diff(times)) == {S // 50}


def test_poisson_has_the_asked_mean_and_unit_variation() -> None:
    gaps = np.diff(draw_arrivals(Arrivals(rate_hz=80), 20_000, np.random.default_rng(3)))
    assert gaps.mean() == pytest.approx(S / 80, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)
    assert (gaps >= 0).all()


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        draw_arrivals(Arrivals(rate_hz=0), 1, np.random.default_rng(0))
