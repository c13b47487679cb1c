"""Thresholds become limits on the overlay's sum so that both sides of the comparison agree."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drivers.agent.runtimes.overlay.confidence import limit_of, limits_of, probabilities_of, table_of
from drivers.agent.runtimes.overlay.engine import ALWAYS, NEVER
from drivers.agent.runtimes.overlay.program_file import ProgramExit

EXITS = [ProgramExit(f"e{k}", 10, 0.2, 1.0, 100 * (k + 1)) for k in range(3)]


@given(st.floats(1e-6, 1.0), st.integers(32768, 64 * 32768))
def test_a_limit_says_what_its_threshold_says(threshold, total):
    assert (total <= limit_of(threshold)) == (total * threshold <= 32768 or 32768 / total >= threshold)


def test_the_ends_of_the_scale():
    assert limit_of(0.0) == limit_of(-1.0) == ALWAYS
    assert limit_of(1.0) == 32768
    assert limit_of(1.01) == limit_of(math.inf) == limit_of(math.nan) == NEVER


def test_exits_without_a_threshold_are_passed_and_the_last_always_leaves():
    assert limits_of((), EXITS) == [NEVER, NEVER, ALWAYS]
    assert limits_of((0.5,), EXITS) == [65536, NEVER, ALWAYS]
    assert limits_of((0.5, 0.25, 0.9), EXITS) == [65536, 131072, ALWAYS]


def test_a_limit_on_time_opens_the_first_exit_that_is_late_enough():
    assert limits_of((), EXITS, left_cycles=150) == [NEVER, ALWAYS, ALWAYS]
    assert limits_of((), EXITS, left_cycles=-5)[0] == ALWAYS


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=64), st.floats(0.001, 2.0), st.floats(0.5, 3.0))
def test_probabilities_are_the_softmax_that_the_overlay_compared(logits, scale, temperature):
    one = ProgramExit("e", len(logits), scale, temperature, 1)
    q = np.array(logits, np.int8)
    found = probabilities_of(q.tobytes(), table_of(one))
    exact = np.exp((q - 127.0) * scale / temperature)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact / exact.sum(), atol=len(logits) / 32768)
    total = int(table_of(one)[int(q.max()) - q.astype(int)].sum())
    assert math.isclose(found.max(), 32768 / total, rel_tol=1e-6)
    assert found.argmax() == q.argmax()
