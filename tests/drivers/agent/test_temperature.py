from __future__ import annotations

import pytest

from drivers.agent.temperature import chip_temperatures
from drivers.virtual.meters.zynq import lay_out_pynq_z2


def test_xadc_in_degrees(tmp_path):
    lay_out_pynq_z2(tmp_path, celsius=51.0)
    assert chip_temperatures(tmp_path) == {"temp0": pytest.approx(51.0, abs=0.13)}


def test_a_channel_without_its_scale_is_left_out(tmp_path):
    lay_out_pynq_z2(tmp_path)
    (tmp_path / "sys/bus/iio/devices/iio:device0/in_temp0_scale").unlink()
    assert chip_temperatures(tmp_path) == {}


def test_other_boards_have_none(tmp_path):
    assert chip_temperatures(tmp_path) == {}
