from __future__ import annotations

import pytest

from drivers.meters.options import MeterOptions, options_of, traits_of
from testbed.errors import ConfigError


def test_figures_need_a_source(make_spec):
    with pytest.raises(ConfigError, match="without a source") as caught:
        options_of(make_spec("x", where="tcp://h:1", offset_w=0.1), MeterOptions)
    assert caught.value.key == "meters.m.offset_w"
    assert (
        options_of(make_spec("x", where="tcp://h:1", offset_w=0.1, source="sheet"), MeterOptions).offset_w
        == 0.1
    )


@pytest.mark.parametrize(("name", "value"), [("gain_frac", -0.1), ("window_ms", float("nan"))])
def test_figures_that_cannot_be(make_spec, name, value):
    with pytest.raises(ConfigError) as caught:
        options_of(make_spec("x", where="tcp://h:1", source="sheet", **{name: value}), MeterOptions)
    assert caught.value.key == f"meters.m.{name}"


@pytest.mark.parametrize("where", ["w", "tcp://h", "tcp://h:port", "tcp://h:70000", "serial://"])
def test_a_way_that_is_none_is_refused_before_anything_is_opened(make_spec, where):
    with pytest.raises(ConfigError, match="tcp://HOST:PORT") as caught:
        options_of(make_spec("x", where=where), MeterOptions)
    assert caught.value.key == "meters.m.where"


@pytest.mark.parametrize("period_ms", [0.5, float("nan"), float("inf")])
def test_a_period_that_is_none_is_refused(make_spec, period_ms):
    with pytest.raises(ConfigError) as caught:
        options_of(make_spec("x", where="tcp://h:1", period_ms=period_ms), MeterOptions)
    assert caught.value.key == "meters.m.period_ms"


def test_the_table_goes_over_what_the_driver_knows():
    table = MeterOptions(where="tcp://h:1", delay_bound_ms=3.0, source="measured with a scope")
    traits = traits_of(table, "instant", {"period_ns": "driver"}, period_ns=7, delay_bound_ns=1)
    assert (traits.period_ns, traits.delay_bound_ns) == (7, 3_000_000)
    assert traits.sources == {"period_ns": "driver", "delay_bound_ns": "lab file: measured with a scope"}
    assert traits_of(MeterOptions(where="tcp://h:1"), "instant", {}, delay_bound_ns=1).delay_bound_ns == 1
