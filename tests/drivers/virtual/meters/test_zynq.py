from __future__ import annotations

from drivers.virtual.meters.zynq import VirtualZcu104, lay_out_pynq_z2


def test_the_input_shows_whole_steps(tmp_path):
    rig = VirtualZcu104(tmp_path)
    rig.draw(17.3)
    shown = int((tmp_path / "sys/bus/i2c/devices/3-0040/hwmon/hwmon0/power1_input").read_text())
    assert shown % 12_500 == 0
    assert abs(shown - 17.3e6) <= 6_250


def test_regulators_show_powers_that_are_not_current_times_voltage(tmp_path):
    VirtualZcu104(tmp_path)
    folder = tmp_path / "sys/bus/i2c/devices/4-0043/hwmon/hwmon1"
    power = int((folder / "power2_input").read_text())
    assert power % 31_250 == 0
    assert power != int((folder / "curr2_input").read_text()) * int((folder / "in2_input").read_text())


def test_a_pynq_z2_has_no_power_file(tmp_path):
    lay_out_pynq_z2(tmp_path)
    assert not list(tmp_path.rglob("power*")) + list(tmp_path.rglob("curr*"))
