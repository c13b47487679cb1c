import errno

import pytest

from drivers.agent.meters import ina3221
from drivers.agent.meters.ina3221 import find_ina3221


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name).write_text(f"{value}\n")


@pytest.fixture
def orin(tmp_path):
    chips = tmp_path / "sys/bus/i2c/drivers/ina3221"
    write(
        chips / "1-0040/hwmon/hwmon3",
        name="ina3221",
        in1_label="VDD_GPU_SOC",
        in1_input=20_000,
        curr1_input=150,
        in2_label="NC",
        in2_input=0,
        curr2_input=0,
        in3_label="VDD_CPU_CV",
        in3_input=19_984,
        curr3_input=40,
        in7_label="sum of shunt voltages",
        in7_input=9,
    )
    write(chips / "1-0041/hwmon/hwmon4", in1_label="VIN_SYS_5V0", in1_input=5_000, curr1_input=800)
    return tmp_path


def test_hwmon_rails_are_products_without_nc_and_sum(orin):
    meter = find_ina3221(str(orin))
    assert meter.rails == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]
    clock = iter((100, 300))
    stamp, watts = meter.read(lambda: next(clock))
    assert stamp == 200
    assert watts == pytest.approx([3.0, 0.79936, 4.0])
    meter.close()


def test_the_open_files_follow_the_values(orin):
    meter = find_ina3221(str(orin))
    (orin / "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/curr1_input").write_text("1000\n")
    assert meter.read(lambda: 0)[1][2] == pytest.approx(5.0)
    meter.close()


def test_a_disabled_channel_is_left_out(orin, monkeypatch):
    real = ina3221.Path.read_text

    def read_text(self, *args, **kwargs):
        if self.name == "in3_input":
            raise OSError(errno.ENODATA, "No data available")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(ina3221.Path, "read_text", read_text)
    meter = find_ina3221(str(orin))
    assert meter.rails == ["VDD_GPU_SOC", "VIN_SYS_5V0"]
    meter.close()


def test_rails_of_one_name_are_told_apart_by_chip(tmp_path):
    chips = tmp_path / "sys/bus/i2c/drivers/ina3221"
    for chip in ("1-0040", "1-0041"):
        write(chips / chip / "hwmon/hwmon1", in1_label="VDD", in1_input=1, curr1_input=1)
    meter = find_ina3221(str(tmp_path))
    assert meter.rails == ["VDD@1-0040", "VDD@1-0041"]
    meter.close()


def test_the_old_layout_gives_milliwatts(tmp_path):
    folder = tmp_path / "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    write(folder, rail_name_0="POM_5V_IN", in_power0_input=2764, rail_name_1="NC", in_power1_input=0)
    meter = find_ina3221(str(tmp_path))
    assert meter.rails == ["POM_5V_IN"]
    assert meter.read(lambda: 7) == (7, [2.764])
    meter.close()


def test_a_board_without_the_chip_has_no_meter(tmp_path):
    assert find_ina3221(str(tmp_path)) is None


def test_nonsense_is_an_error_not_a_number(orin):
    meter = find_ina3221(str(orin))
    (orin / "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/curr1_input").write_text("what\n")
    with pytest.raises(ValueError, match="what"):
        meter.read(lambda: 0)
    meter.close()
