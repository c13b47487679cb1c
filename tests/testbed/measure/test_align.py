"""A pattern that was played tells how late a meter's stamps are, or why it does not."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.measure.align import find_offset, offsets_at, slots, tell
from testbed.model.energy import PowerTrace
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin
from testbed.model.record import Alignment
from testbed.units import MS, S

BEGIN = 1_000 * S


def executions(slot, rng, service=8 * MS):
    """Back to back in the slots that are on, as a board executes."""
    made = []
    for place, on in enumerate(slots()):
        at, end = BEGIN + place * slot, BEGIN + (place + 1) * slot
        while on and at < end:
            made.append((at, at + service))
            at += service + int(rng.integers(1, 2) * MS)
    return np.array(made, dtype=np.int64)


def seen(spans, rng, *, period, window, offset, noise_w=0.05, quantity="average"):
    """What a meter shows whose stamps are late by ``offset``."""
    t = np.arange(BEGIN - 8 * S, int(spans[:, 1].max()) + 8 * S, period, dtype=np.int64) + int(
        rng.integers(0, period)
    )
    ends, starts = t[:, None], t[:, None] - window
    inside = np.clip(np.minimum(ends, spans[:, 1]) - np.maximum(starts, spans[:, 0]), 0, None).sum(axis=1)
    watts = 4.0 + 6.0 * inside / window + rng.normal(0, noise_w, t.size)
    return PowerTrace(
        t=t + offset,
        power_w=watts,
        rail="r",
        meter="m",
        board="b",
        origin=Origin.EMULATED,
        traits=MeterTraits(quantity=quantity, window_ns=window, period_ns=period),
    )


def test_the_sequence_has_one_peak_only():
    signs = np.where(slots(), 1, -1)
    assert len(signs) == 15
    assert [int(signs @ np.roll(signs, k)) for k in range(1, 15)] == [-1] * 14


@pytest.mark.parametrize(
    ("period", "window", "slot"),
    [(20 * MS, 20 * MS, 250 * MS), (50 * MS, 20 * MS, 250 * MS), (S, S, 2 * S)],
    ids=["20 ms", "20 of 50 ms", "1 s"],
)
@pytest.mark.parametrize("offset", [0, 37 * MS, -412 * MS, 1_300 * MS])
def test_the_offset_comes_out_within_its_error(period, window, slot, offset):
    off = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        spans = executions(slot, rng)
        found = find_offset(seen(spans, rng, period=period, window=window, offset=offset), spans)
        assert found.reason == ""
        assert found.error < period
        off.append(abs(found.offset - offset) / found.error)
    assert sorted(off)[1] <= 2
    assert max(off) <= 4


def test_what_cannot_be_told_says_why():
    rng = np.random.default_rng(1)
    spans = executions(250 * MS, rng)
    flat = seen(spans, rng, period=20 * MS, window=20 * MS, offset=0, noise_w=200.0)
    assert "not to be seen" in find_offset(flat, spans).reason
    assert "no pattern" in find_offset(flat, spans[:0]).reason
    few = seen(spans, rng, period=S, window=S, offset=0)
    assert "samples saw the pattern" in find_offset(few, spans, reach=100 * MS).reason
    even = np.array([(BEGIN + k * S, BEGIN + k * S + S // 2) for k in range(60)], dtype=np.int64)
    same = seen(even, rng, period=20 * MS, window=20 * MS, offset=0)
    assert "more than one offset" in find_offset(same, even).reason
    assert tell(find_offset(same, even)).startswith("not aligned")


def test_offsets_lie_on_a_line_between_the_patterns_and_one_alone_holds_for_all():
    one = Alignment(board="b", meter="m", at=100 * S, offset=10 * MS, error=MS)
    two = Alignment(board="b", meter="m", at=200 * S, offset=20 * MS, error=2 * MS)
    none = Alignment(board="b", meter="m", at=300 * S, reason="not seen")
    t = np.array([50, 100, 150, 200, 250]) * S
    late, bound = offsets_at((two, none, one), t)
    assert (late / MS).tolist() == [10, 10, 15, 20, 20]
    assert bound == 4 * MS
    assert offsets_at((one,), t)[0].tolist() == [10 * MS] * 5
    assert offsets_at((none,), t) is None
