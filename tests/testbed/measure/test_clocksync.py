"""The bound must hold for every truth that the model admits, and jumps must be found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.measure.clocksync import COORDINATOR, ClockBook, fit_clock, fit_clocks
from testbed.model.record import ClockProbe
from testbed.units import MS, US, S

START = 123_456 * S


def probes(offset, drift_ppm, delays, *, gap=2 * S, begin=START, boot=0, wire=0):
    """Probes of a board whose clock is ``offset`` ahead and drifts; ``delays`` are (up, down) [ns]."""
    made = []
    for i, (up, down) in enumerate(delays):
        sent = begin + i * gap
        t1 = sent + wire + up
        t2 = t1 + 30 * US
        made.append(
            ClockProbe(
                board="b",
                boot=boot,
                t0=sent,
                t1=on_board(t1, offset, drift_ppm),
                t2=on_board(t2, offset, drift_ppm),
                t3=t2 + down + wire,
                wire_up=wire,
                wire_down=wire,
            )
        )
    return made


def on_board(t, offset, drift_ppm):
    return t + offset + round((t - START) * drift_ppm / 1e6)


delay = st.integers(min_value=0, max_value=20 * MS)


@given(
    offset=st.integers(-(10**18), 10**18),
    drift_ppm=st.floats(-100, 100),
    delays=st.lists(st.tuples(delay, delay), min_size=1, max_size=24),
    gap=st.integers(100 * MS, 30 * S),
    at=st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=10),
)
def test_bound_holds_for_unequal_ways_and_any_drift(offset, drift_ppm, delays, gap, at):
    fit = fit_clock(probes(offset, drift_ppm, delays, gap=gap))
    assert fit.jumps == 0
    span = gap * len(delays)
    truth = np.asarray([START + round(x * span) for x in at], dtype=np.int64)
    board = np.asarray([on_board(int(t), offset, drift_ppm) for t in truth], dtype=np.int64)
    found, bound = fit.to_coordinator(board)
    assert (np.abs(found - truth) <= bound).all()


def test_unequal_ways_fool_the_offset_by_half_their_difference_and_no_more():
    fit = fit_clock(probes(0, 0.0, [(400 * US, 100 * US)] * 8))
    found, bound = fit.to_coordinator(np.asarray([START + 5 * S]))
    assert abs(int(found[0]) - (START + 5 * S)) == pytest.approx(150 * US, abs=1 * US)
    assert 250 * US <= int(bound[0]) < 260 * US


def test_drift_is_found_and_busy_probes_are_left_out():
    rng = np.random.default_rng(1)
    delays = [(int(50 * US + rng.exponential(20 * US)),) * 2 for _ in range(30)]
    delays[7] = (15 * MS, 50 * US)
    fit = fit_clock(probes(10**12, 42.0, delays))
    (segment,) = fit.segments
    assert segment.drift_ppb == pytest.approx(42_000, abs=1_500)
    assert len(segment.anchors) >= 20
    assert max(segment.errors) < 250 * US
    assert segment.probes == 30
    assert segment.bound < 150 * US


def test_probes_of_one_burst_that_were_held_up_on_different_ways_bound_each_other():
    burst = [(50 * US, 2 * MS), (2 * MS, 50 * US)] * 4
    fit = fit_clock(probes(0, 0.0, burst, gap=4 * MS))
    (segment,) = fit.segments
    assert len(segment.anchors) == 1
    assert segment.min_rtt > 2 * MS
    assert segment.errors[0] < 60 * US
    found, bound = fit.to_coordinator(np.asarray([START]))
    assert abs(int(found[0]) - START) <= bound[0] < 60 * US


def test_a_bad_anchor_between_two_good_ones_costs_nothing():
    good, bad = (50 * US, 50 * US), (120 * US, 130 * US)
    fit = fit_clock(probes(0, 20.0, [good, bad, bad, bad, good]))
    alone = fit_clock([p for i, p in enumerate(probes(0, 20.0, [good, bad, bad, bad, good])) if i in (0, 4)])
    assert len(fit.segments[0].anchors) == 5
    assert fit.segments[0].errors[2] < 1.5 * alone.segments[0].errors[0] < 100 * US


def test_without_the_line_time_a_serial_link_would_have_a_bound_of_its_line_time():
    plain = probes(0, 0.0, [(50 * US, 60 * US)] * 6, wire=900 * US)
    assert fit_clock(plain).segments[0].bound < 80 * US
    raw = [ClockProbe(board="b", boot=0, t0=p.t0, t1=p.t1, t2=p.t2, t3=p.t3) for p in plain]
    assert fit_clock(raw).segments[0].bound > 900 * US


def test_bound_grows_with_distance_from_the_probes():
    one = fit_clock(probes(0, 20.0, [(100 * US, 100 * US)]))
    _, near = one.to_coordinator(np.asarray([START + 1 * MS]))
    _, far = one.to_coordinator(np.asarray([START + 60 * S]))
    assert near[0] < 110 * US
    assert far[0] > near[0] + 60 * 20 * US


@pytest.mark.parametrize("jump", [3 * MS, -3 * MS, 40 * S, -40 * S])
def test_a_jump_starts_a_new_segment_and_both_sides_convert(jump):
    delays = [(80 * US, 90 * US)] * 6
    before = probes(7 * S, 10.0, delays)
    after = probes(7 * S + jump, 10.0, delays, begin=START + 20 * S)
    fit = fit_clock(before + after)
    assert fit.jumps == 1
    truth = np.asarray([START + 4 * S, START + 25 * S])
    stamps = np.asarray([on_board(truth[0], 7 * S, 10.0), on_board(truth[1], 7 * S + jump, 10.0)])
    found, bound = fit.to_coordinator(stamps, (truth - 5 * MS, truth + 5 * MS))
    assert (np.abs(found - truth) <= bound).all()
    assert (bound < 200 * US).all()


def test_a_burst_that_says_nothing_after_a_jump_belongs_to_neither_side():
    good, bad = [(80 * US, 90 * US)] * 4, [(4 * MS, 9 * MS)] * 2
    before = probes(0, 0.0, good)
    dull = probes(5 * MS, 0.0, bad, begin=START + 8 * S)  # it jumped at 7 s
    after = probes(5 * MS, 0.0, good, begin=START + 12 * S)
    fit = fit_clock(before + dull + after)
    assert fit.jumps == 1
    assert [segment.probes for segment in fit.segments] == [4, 4]
    truth = np.asarray([START + round(at * S) for at in (6.9, 7.1, 9.0, 11.9)])
    board = truth + np.where(truth >= START + 7 * S, 5 * MS, 0)
    for within in (None, (truth - MS, truth + MS)):
        found, bound = fit.to_coordinator(board, within)
        assert (np.abs(found - truth) <= bound).all()


def test_between_two_segments_the_bound_spans_both_readings():
    delays = [(80 * US, 90 * US)] * 6
    fit = fit_clock(probes(0, 0.0, delays) + probes(5 * S, 0.0, delays, begin=START + 20 * S))
    found, bound = fit.to_coordinator(np.asarray([START + 17 * S]))
    assert found[0] == pytest.approx(START + 17 * S, abs=100 * US)
    assert bound[0] >= 5 * S
    # A reading that nobody can have seen yet does not count.
    _, bound = fit.to_coordinator(np.asarray([START + 14 * S]))
    assert bound[0] < 200 * US


def test_a_time_that_a_clock_told_twice_is_settled_by_when_it_was_asked():
    delays = [(80 * US, 90 * US)] * 6
    fit = fit_clock(probes(0, 0.0, delays) + probes(-8 * S, 0.0, delays, begin=START + 12 * S))
    twice = np.asarray([START + 5 * S])
    _, bound = fit.to_coordinator(twice)
    assert bound[0] >= 8 * S
    for truth in (START + 5 * S, START + 13 * S):
        found, bound = fit.to_coordinator(twice, (np.asarray([truth - MS]), np.asarray([truth + 30 * MS])))
        assert abs(found[0] - truth) <= bound[0] < 200 * US


def test_a_stamp_that_no_line_explains_spans_all_of_them():
    delays = [(80 * US, 90 * US)] * 6
    fit = fit_clock(probes(0, 0.0, delays) + probes(1 * S, 0.0, delays, begin=START + 20 * S))
    asked = (np.asarray([START + 17 * S]), np.asarray([START + 18 * S]))
    found, bound = fit.to_coordinator(np.asarray([START + 25 * S]), asked)
    assert found[0] == pytest.approx(START + 24 * S, abs=100 * US)
    assert bound[0] >= 1 * S


@given(
    drift_ppm=st.floats(-100, 100),
    delays=st.lists(st.tuples(st.integers(0, MS), st.integers(0, MS)), min_size=4, max_size=12),
    jump=st.integers(5 * MS, 20 * S),
    back=st.booleans(),
    jumped=st.floats(0.01, 0.99),
    at=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 50 * MS)), min_size=1, max_size=10),
)
def test_bound_holds_around_a_jump_and_also_where_nobody_says_when(drift_ppm, delays, jump, back, jumped, at):
    jump = -jump if back else jump
    half = len(delays) // 2
    before = probes(0, drift_ppm, delays[:half])
    after = probes(jump, drift_ppm, delays[half:], begin=START + half * 2 * S)
    fit = fit_clock(before + after)
    assert fit.jumps == 1
    moment = before[-1].t3 + round((after[0].t0 - before[-1].t3) * jumped)
    truth = np.asarray([START + round(x * len(delays) * 2 * S) for x, _ in at])
    board = np.asarray([on_board(int(t), jump if t >= moment else 0, drift_ppm) for t in truth])
    slack = np.asarray([room for _, room in at])
    for within in (None, (truth - slack, truth + slack)):
        found, bound = fit.to_coordinator(board, within)
        assert (np.abs(found - truth) <= bound).all()


def test_a_probe_that_met_a_jump_while_it_was_held_is_not_a_perfect_one():
    delays = [(80 * US, 90 * US)] * 6
    before = probes(0, 0.0, delays)
    after = probes(9 * MS, 0.0, delays, begin=START + 14 * S)
    odd = probes(0, 0.0, delays[:1], begin=START + 12 * S)[0]
    odd = ClockProbe(board="b", boot=0, t0=odd.t0, t1=odd.t1, t2=odd.t2 + 9 * MS, t3=odd.t3)
    fit = fit_clock([*before, odd, *after])
    assert fit.jumps == 1
    assert sum(segment.probes for segment in fit.segments) == 12
    assert fit_clock([odd]).segments[0].probes == 1


def test_each_boot_has_its_own_fit_and_an_unknown_one_none():
    delays = [(80 * US, 90 * US)] * 3
    book = fit_clocks(probes(1 * S, 0.0, delays) + probes(-9 * S, 0.0, delays, boot=1, begin=START + 30 * S))
    first, second = (book.convert("b", boot, np.asarray([START]))[0][0] for boot in (0, 1))
    assert first - second == pytest.approx(-10 * S, abs=20 * US)
    assert book.convert("b", 2, np.asarray([START])) is None
    assert book.convert("x", 0, np.asarray([START])) is None


def test_stamps_of_the_coordinators_own_clock_pass_unchanged():
    stamps = np.asarray([5, 6], dtype=np.int64)
    t, bound = ClockBook({}).convert("meter", COORDINATOR, stamps)
    assert t.tolist() == [5, 6]
    assert bound.tolist() == [0, 0]


def test_a_fit_needs_one_board_and_boot():
    delays = [(1, 1)]
    with pytest.raises(ValueError, match="exactly one"):
        fit_clock([])
    with pytest.raises(ValueError, match="exactly one"):
        fit_clock(probes(0, 0.0, delays) + probes(0, 0.0, delays, boot=1))
