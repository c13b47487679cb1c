from __future__ import annotations

import json
import math
import time

import msgspec
import pytest

from drivers.agent.condition import CONDITION, Condition
from drivers.virtual.machine.load import Load
from drivers.virtual.machine.thermal import Heat, VirtualThermal

HEAT = Heat(ambient_c=25.0, kelvin_per_w=10.0, tau_s=10.0, trip_c=80.0, slow_frac=0.5, clock_hz=900e6)


class Host:
    ns = 0

    def __call__(self) -> int:
        return self.ns

    def pass_s(self, seconds: float, thermal: VirtualThermal) -> None:
        for _ in range(round(seconds * 10)):
            self.ns += 100_000_000
            thermal.step()


def condition(root) -> dict:
    return json.loads(Condition(root).read(CONDITION))


def test_it_warms_up_as_a_first_order_system_does_and_cools_again(tmp_path):
    host = Host()
    load = Load(2.0, {"m": 5.0}, now=host)
    thermal = VirtualThermal(tmp_path, HEAT, load)
    assert condition(tmp_path)["temperature_c"] == {"tj-thermal": 45.0}
    with load.executing("m"):
        host.pass_s(10, thermal)
    assert thermal.celsius == pytest.approx(45 + 30 * (1 - math.exp(-1)))
    assert condition(tmp_path)["temperature_c"] == {"tj-thermal": round(thermal.celsius, 2)}
    assert "slowed" not in condition(tmp_path)
    host.pass_s(200, thermal)
    assert thermal.celsius == pytest.approx(45.0)


def test_above_the_trip_it_is_slower_and_draws_less_until_it_has_cooled(tmp_path):
    host = Host()
    load = Load(2.0, {"m": 6.0}, now=host)
    thermal = VirtualThermal(tmp_path, HEAT, load)
    with load.executing("m"):
        while not thermal.throttled:
            host.pass_s(0.1, thermal)
        assert 80 <= thermal.celsius < 81
        assert thermal.slowness == 2.0
        assert condition(tmp_path)["slowed"] == ["gpu-throttle-alert"]
        assert condition(tmp_path)["clock_hz"] == {"17000000.gpu": 450_000_000}
        _, before = load.reading()
        host.pass_s(0.1, thermal)
        assert load.reading()[1] - before == pytest.approx(4.0 * 0.5 * 0.1)
        while thermal.throttled:
            host.pass_s(0.1, thermal)
    assert 77 < thermal.celsius < 78
    assert thermal.slowness == 1.0
    assert condition(tmp_path)["clock_hz"] == {"17000000.gpu": 900_000_000}


def test_it_follows_by_itself_while_it_is_open(tmp_path):
    load = Load(2.0, {"m": 4.0})
    quick = msgspec.structs.replace(HEAT, tau_s=0.05, trip_c=200.0)
    with VirtualThermal(tmp_path, quick, load) as thermal, load.executing("m"):
        limit = time.monotonic() + 20
        while thermal.celsius < 64 and time.monotonic() < limit:
            time.sleep(0.01)
    assert 64 <= thermal.celsius < 65.1


@pytest.mark.parametrize("wrong", [{"tau_s": 0}, {"slow_frac": 0}, {"slow_frac": 1.5}, {"kelvin_per_w": -1}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Heat)
