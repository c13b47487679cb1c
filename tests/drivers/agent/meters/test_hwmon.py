from __future__ import annotations

import pytest

from drivers.agent.meters.hwmon import find_hwmon
from drivers.virtual.meters.zynq import VirtualZcu104, lay_out_pynq_z2
from testbed.contracts.meter import MeterContract
from testbed.errors import MeterError


class TestZcu104(MeterContract):
    levels = (14.5, 25.0)

    @pytest.fixture
    def rig(self, tmp_path):
        return VirtualZcu104(tmp_path)

    @pytest.fixture
    def meter(self, rig, tmp_path):
        return find_hwmon(str(tmp_path))


def test_the_total_is_the_input_and_regulators_are_behind_it(tmp_path):
    VirtualZcu104(tmp_path)
    meter = find_hwmon(str(tmp_path))
    assert meter.total == ["12V"]
    assert meter.rails == ["12V", "INT", "1V8", "1V2", "MGTA", "3V3", "1V13", "5V0", "FMC", "MGTRA"]
    assert meter.about["traits"]["rails"]["12V"] == {"step_w": 0.0125}


def test_power_of_a_regulator_is_as_reported_and_never_recomputed(tmp_path):
    VirtualZcu104(tmp_path)
    meter = find_hwmon(str(tmp_path))
    meter.start(1)
    _, watts = meter.read(lambda: 0)
    meter.stop()
    # The chip shows 10 A at 0.16 V there, which is not what it draws.
    assert watts[meter.rails.index("INT")] == 0.0625


def test_another_board_has_rails_but_no_total(tmp_path):
    VirtualZcu104(tmp_path)
    (tmp_path / "proc/device-tree/model").write_text("Some board\0")
    meter = find_hwmon(str(tmp_path))
    assert meter.total == []
    assert "ina226@3-0040:power1" in meter.rails
    assert "none of them is its total" in meter.about["scope"]


def test_a_pynq_z2_says_that_it_has_no_sensor_and_what_to_do(tmp_path):
    lay_out_pynq_z2(tmp_path)
    with pytest.raises(MeterError, match="no current sensor") as caught:
        find_hwmon(str(tmp_path))
    assert "external meter" in caught.value.cure


def test_a_board_without_monitors_says_so(tmp_path):
    with pytest.raises(MeterError, match="no INA226"):
        find_hwmon(str(tmp_path))
