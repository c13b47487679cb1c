"""A load's total is the sum over its executions and its pauses, whatever the meter and however they overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.measure.energy import EnergyBook
from testbed.measure.shares import share_out
from testbed.model.energy import PowerTrace
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin
from testbed.units import MS, S

KINDS = [
    MeterTraits(quantity="instant"),
    MeterTraits(quantity="average", window_ns=S),
    MeterTraits(quantity="counter"),
]


def book(watts, traits=KINDS[0]):
    return EnergyBook(
        PowerTrace(
            t=np.arange(len(watts), dtype=np.int64) * 100 * MS,
            power_w=np.asarray(watts, dtype=np.float64),
            rail="r",
            meter="m",
            board="b",
            origin=Origin.EMULATED,
            traits=traits,
        )
    )


moments = st.integers(-S, 6 * S)


@given(
    st.sampled_from(KINDS),
    st.lists(st.floats(0, 100), min_size=2, max_size=50),
    st.tuples(moments, moments).map(sorted),
    st.lists(st.tuples(moments, moments).map(sorted), max_size=12),
)
def test_the_total_is_the_sum_over_executions_and_pauses(traits, watts, span, executions):
    meter = book(watts, traits)
    found = share_out(meter, tuple(span), np.array(executions, dtype=np.int64).reshape(-1, 2))
    parts = float(found.executions_j.sum()) + found.pauses_j
    assert found.total_j == pytest.approx(parts, rel=1e-9, abs=1e-9)
    assert found.total_j == pytest.approx(meter.gross(tuple(span)), rel=1e-9, abs=1e-9)


def test_what_runs_side_by_side_shares_alike():
    found = share_out(book([4.0] * 40), (0, 3 * S), np.array([[0, 2 * S], [S, 2 * S]]))
    assert found.executions_j == pytest.approx([4 + 2, 2])
    assert found.pauses_j == pytest.approx(4)


def test_what_lies_outside_of_the_load_has_no_part():
    found = share_out(book([4.0] * 40), (S, 2 * S), np.array([[0, 500 * MS], [1_500 * MS, 3 * S]]))
    assert found.executions_j == pytest.approx([0, 2])
    assert found.pauses_j == pytest.approx(2)
