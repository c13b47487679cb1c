"""Work of known cost comes out again with an uncertainty that holds, or with the reason why it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.measure.attribute import attribute, cut
from testbed.measure.energy import EnergyBook, Idle
from testbed.model.energy import PowerTrace
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin
from testbed.units import MS, S

IDLE_W = 2.0
REST = Idle(power_w=IDLE_W, sigma_w=0.0)


def played(rng, power_w, service_ms, seconds=20, share=0.5, period=20 * MS, noise_w=0.05, gain_frac=0.0):
    """Executions one after the other with random pauses, of kinds drawn at random, under a gapless meter."""
    executions, which, at = [], [], 0
    while at < (seconds - 1) * S:
        kind = int(rng.integers(len(power_w)))
        length = int(service_ms[kind] * MS * rng.uniform(0.8, 1.2))
        executions.append((at, at + length))
        which.append(kind)
        at += length + int(rng.exponential(length * (1 - share) / share))
    spans, kinds = np.array(executions, dtype=np.int64), np.array(which)
    ends = (np.arange(seconds * S // period, dtype=np.int64) + 1) * period
    energy = IDLE_W * ends / 1e9
    for kind, watts_above in enumerate(power_w):  # exact: what began by then, less what is still to come
        of = spans[kinds == kind]
        energy += watts_above * np.clip(ends[:, None] - of[:, 0], 0, of[:, 1] - of[:, 0]).sum(axis=1) / 1e9
    watts = np.diff(energy, prepend=0.0) / (period / 1e9) + rng.normal(0, noise_w, ends.size)
    trace = PowerTrace(
        t=ends,
        power_w=watts,
        rail="r",
        meter="m",
        board="b",
        origin=Origin.EMULATED,
        traits=MeterTraits(quantity="average", window_ns=period, gain_frac=gain_frac),
    )
    return EnergyBook(trace), spans, kinds


def attributed(rng, power_w, service_ms, **known):
    book, spans, which = played(rng, power_w, service_ms, **known)
    windows = cut(book, (0, int(spans[-1, 1])), REST, spans, which, len(power_w))
    return attribute([windows], [f"kind {k}" for k in range(len(power_w))])


def test_what_each_kind_takes_comes_out_again():
    """Executions of 4 and 9 ms under a meter with a value every 20 ms."""
    power_w = np.array([3.0, 8.0])
    off = []
    for seed in range(20):
        found = attributed(np.random.default_rng(seed), power_w, np.array([4.0, 9.0]))
        for kind, truth in enumerate(power_w):
            value, sigma = found.of(np.eye(2)[kind])
            assert value == pytest.approx(truth, rel=0.1)
            off.append(abs(value - truth) / sigma)
    assert np.mean(np.array(off) <= 2) >= 0.85
    assert 0.3 < np.median(off) < 1.2


def test_a_kind_that_takes_nothing_is_never_negative():
    found = attributed(np.random.default_rng(1), np.array([0.0, 8.0]), np.array([4.0, 9.0]))
    assert 0 <= found.power_w[0] < 0.5


def test_gain_and_idle_count_in_sums_as_what_they_have_in_common():
    rng = np.random.default_rng(2)
    book, spans, which = played(rng, np.array([3.0, 8.0]), np.array([4.0, 9.0]), noise_w=0.0)
    spread = [
        attribute([cut(book, (0, 19 * S), idle, spans, which, 2)], "ab").of(np.array([100.0, 100.0]))
        for idle in (REST, Idle(power_w=IDLE_W, sigma_w=0.2))
    ]
    assert spread[1][1] > spread[0][1]
    gained = attributed(np.random.default_rng(2), np.array([3.0, 8.0]), np.array([4.0, 9.0]), gain_frac=0.05)
    value, sigma = gained.of(np.array([100.0, 100.0]))
    assert sigma == pytest.approx(0.05 * value, rel=0.2)


def test_what_is_drawn_without_work_is_borne_by_the_work_and_nothing_is_lost():
    book, spans, which = played(np.random.default_rng(1), np.array([3.0, 8.0]), np.array([4.0, 9.0]))
    trace = book.trace
    lifted = EnergyBook(
        PowerTrace(
            t=trace.t, power_w=trace.power_w + 4.0, rail="r", meter="m", board="b", origin=trace.origin,
            traits=trace.traits,
        )
    )  # fmt: skip
    windows = cut(lifted, (0, 19 * S), REST, spans, which, 2)
    found = attribute([windows], "ab")
    whole, sigma = found.of(windows.busy_s.sum(axis=0))
    assert whole == pytest.approx(windows.net_j.sum(), rel=1e-3)
    assert whole == pytest.approx(lifted.gross((0, 19 * S)) - IDLE_W * 19, rel=1e-3)
    assert 0 < sigma < whole / 10


def together():
    """Two kinds, always side by side."""
    rng = np.random.default_rng(4)
    starts = np.cumsum(rng.integers(20, 80, 1_000)) * MS
    first = np.column_stack((starts, starts + 5 * MS))
    spans = np.repeat(first, 2, axis=0)
    t = np.arange(0, int(starts[-1]) + S, 20 * MS)
    trace = PowerTrace(
        t=t, power_w=rng.normal(5, 0.1, t.size), rail="r", meter="m", board="b", origin=Origin.EMULATED
    )
    windows = cut(EnergyBook(trace), (0, int(starts[-1])), REST, spans, np.arange(2_000) % 2, 2)
    return attribute([windows], ["resnet8 x1", "cnn-tiny x1"])


def test_kinds_that_always_came_together_are_not_told_apart_but_their_sum_is():
    found = together()
    assert found.condition > 30
    alone = found.of(np.array([1.0, 0.0]))
    assert isinstance(alone, str)
    assert "resnet8 x1 and cnn-tiny x1 came and went together" in alone
    value, sigma = found.of(np.array([1.0, 1.0]))
    assert value > 0
    assert sigma < value


def test_work_that_was_never_seen_is_not_told():
    book, spans, which = played(np.random.default_rng(1), np.array([3.0]), np.array([4.0]))
    found = attribute([cut(book, (0, 19 * S), REST, spans, which, 2)], ["a", "b"])
    assert "b was not executed" in found.of(np.array([0.0, 1.0]))
    assert isinstance(found.of(np.array([1.0, 0.0])), tuple)


def test_too_short_a_load_no_idle_and_holes_are_said():
    book, spans, which = played(np.random.default_rng(1), np.array([3.0]), np.array([4.0]))
    assert "too short" in cut(book, (0, 500 * MS), REST, spans, which, 1)
    assert "nobody looked" in cut(
        book, (0, 19 * S), Idle(power_w=None, reason="nobody looked"), spans, which, 1
    )
    assert "power sample" in cut(book, (0, 200 * S), REST, spans, which, 1)
    assert "nothing was executed" in attribute([cut(book, (0, 19 * S), REST, spans[:0], which[:0], 1)], "a")


def test_windows_in_a_hole_of_the_meter_do_not_count():
    book, spans, which = played(np.random.default_rng(1), np.array([3.0]), np.array([4.0]))
    trace = book.trace
    keep = (trace.t < 5 * S) | (trace.t > 8 * S)
    holed = EnergyBook(
        PowerTrace(
            t=trace.t[keep], power_w=trace.power_w[keep], rail="r", meter="m", board="b", origin=trace.origin,
            traits=trace.traits,
        )
    )  # fmt: skip
    whole = cut(book, (0, 19 * S), REST, spans, which, 1)
    fewer = cut(holed, (0, 19 * S), REST, spans, which, 1)
    assert whole.net_j.size * 15 / 19 < fewer.net_j.size < whole.net_j.size * 17 / 19
    assert attribute([fewer], "a").power_w[0] == pytest.approx(3.0, rel=0.1)
