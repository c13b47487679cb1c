from __future__ import annotations

import pytest

from drivers.meters.options import MeterOptions, options_of, traits_of
from testbed.errors import ConfigError


def test_figures_need_a_source(make_spec):
    with pytest.raises(ConfigError, match="without a source") as caught:
        options_of(make_spec("x", where="w", offset_w=0.1), MeterOptions)
    assert caught.value.key == "meters.m.offset_w"
    assert options_of(make_spec("x", where="w", offset_w=0.1, source="sheet"), MeterOptions).offset_w == 0.1


@pytest.mark.parametrize(("name", "value"), [("gain_frac", -0.1), ("window_ms", float("nan"))])
def test_figures_that_cannot_be(make_spec, name, value):
    with pytest.raises(ConfigError) as caught:
        options_of(make_spec("x", where="w", source="sheet", **{name: value}), MeterOptions)
    assert caught.value.key == f"meters.m.{name}"


def test_the_table_goes_over_what_the_driver_knows():
    table = MeterOptions(where="w", delay_bound_ms=3.0, source="measured with a scope")
    traits = traits_of(table, "instant", {"period_ns": "driver"}, period_ns=7, delay_bound_ns=1)
    assert (traits.period_ns, traits.delay_bound_ns) == (7, 3_000_000)
    assert traits.sources == {"period_ns": "driver", "delay_bound_ns": "lab file: measured with a scope"}
    assert traits_of(MeterOptions(where="w"), "instant", {}, delay_bound_ns=1).delay_bound_ns == 1
