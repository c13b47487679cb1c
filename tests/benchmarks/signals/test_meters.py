"""Every type of meter shows what is there, within its limits, and says what is known of it."""

import msgspec
import numpy as np
import pytest

from benchmarks.signals.loads import square
from benchmarks.signals.meters import BASE_NS
from benchmarks.signals.types import TYPES
from testbed.measure.trace import total_trace


def trace(kind, seed=3):
    load = square(6.0, kind.idle_w, kind.load_w)
    seen = kind.meter.exact().look(load, np.random.default_rng(seed))
    return load, seen, total_trace(seen.blocks, seen.clocks, seen.traits)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_without_gain_and_offset_it_shows_the_power_to_a_step(name):
    kind = TYPES[name]
    load, seen, found = trace(kind)
    assert seen.gain == 1.0
    inside = (found.t > BASE_NS + (load.start + 1.5) * 1e9) & (found.t < BASE_NS + (load.end - 0.5) * 1e9)
    # A counter read more often than it is renewed jumps, so it is the mean that counts.
    assert found.power_w[inside].mean() == pytest.approx(kind.load_w, rel=0.03)
    assert found.power_w[: found.t.searchsorted(BASE_NS + 6 * 10**9)].mean() == pytest.approx(
        kind.idle_w, rel=0.08
    )


@pytest.mark.parametrize("name", sorted(TYPES))
def test_gain_is_drawn_within_what_the_traits_say(name):
    kind = TYPES[name]
    load = square(0.5, kind.idle_w, kind.load_w)
    for seed in range(5):
        seen = kind.meter.look(load, np.random.default_rng(seed))
        assert abs(seen.gain - 1) <= seen.traits.gain_frac * 3**0.5 + 1e-12
    assert seen.traits.gain_frac == pytest.approx(kind.meter.gain_limit / 3**0.5)
    assert msgspec.json.decode(msgspec.json.encode(seen.traits), type=type(seen.traits)) == seen.traits
