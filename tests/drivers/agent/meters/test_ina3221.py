from __future__ import annotations

import errno

import pytest

from drivers.agent.meters import sysfs
from drivers.agent.meters.ina3221 import find_ina3221, find_ina3221_total
from drivers.virtual.meters.ina3221 import MODULES, VirtualModule
from testbed.contracts.meter import MeterContract
from testbed.errors import MeterError, SampleError


class OnModule(MeterContract):
    board = ""

    @pytest.fixture
    def rig(self, tmp_path):
        return VirtualModule(tmp_path, self.board)

    @pytest.fixture
    def meter(self, rig, tmp_path):
        return find_ina3221(str(tmp_path))


class TestOnOrinNano(OnModule):
    board = "orin-nano"


class TestOnAgxOrin(OnModule):
    board = "agx-orin"
    levels = (20.0, 45.0)
    tolerance_w = 0.8


class TestOnOldLayout(OnModule):
    board = "tx2"
    cannot = {"test_the_end_of_its_range_is_told": "the IIO driver does not tell the shunt"}


class TestOnThor(OnModule):
    board = "thor"
    cannot = {"test_the_end_of_its_range_is_told": "the INA238's range is set by its driver and not told"}


TOTALS = {
    "nano": ["POM_5V_IN"],
    "tx2": ["VDD_IN"],
    "xavier-nx-jp4": ["VDD_IN"],
    "xavier-nx": ["VDD_IN"],
    "agx-xavier": ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"],
    "orin-nano": ["VDD_IN"],
    "orin-nx": ["VDD_IN"],
    "agx-orin": ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"],
    "thor": ["VIN"],
}


@pytest.mark.parametrize("board", MODULES)
def test_every_board_has_its_total_and_the_watts_are_right(board, tmp_path):
    rig = VirtualModule(tmp_path, board)
    meter = find_ina3221(str(tmp_path))
    assert meter.total == TOTALS[board]
    assert "NC" not in meter.rails
    assert "not in the table" not in meter.about["scope"]
    rig.draw(12.0)
    meter.start(1)
    _, watts = meter.read(lambda: 0)
    meter.stop()
    shown = dict(zip(meter.rails, watts, strict=True))
    assert sum(shown[rail] for rail in meter.total) == pytest.approx(12.0, abs=0.5)
    inside = [c for channels in MODULES[board].chips.values() for c in channels if c.inside]
    for channel in inside:
        assert shown[channel.label] == pytest.approx(12.0 * channel.share, abs=0.1)


@pytest.fixture
def orin(tmp_path):
    return VirtualModule(tmp_path, "agx-orin")


CHIPS = "sys/bus/i2c/drivers/ina3221"


def test_power_is_a_product_stamped_in_the_middle(orin, tmp_path):
    (tmp_path / CHIPS / "1-0040/hwmon/hwmon1/in1_input").write_text("20000\n")
    (tmp_path / CHIPS / "1-0040/hwmon/hwmon1/curr1_input").write_text("160\n")
    meter = find_ina3221(str(tmp_path))
    meter.start(1)
    clock = iter((100, 300))
    stamp, watts = meter.read(lambda: next(clock))
    assert stamp == 200
    assert watts[0] == pytest.approx(3.2)
    meter.stop()


def test_a_disabled_channel_is_left_out_and_the_total_says_so(orin, tmp_path, monkeypatch):
    (tmp_path / CHIPS / "1-0040/hwmon/hwmon1/in2_enable").write_text("0\n")
    meter = find_ina3221(str(tmp_path))
    assert "VDD_CPU_CV" not in meter.rails
    assert "VDD_CPU_CV not metered" in meter.about["scope"]
    real = sysfs.text_of
    monkeypatch.setattr(
        "drivers.agent.meters.ina3221.text_of", lambda path: "" if path.name == "curr3_input" else real(path)
    )
    assert "VIN_SYS_5V0" not in find_ina3221(str(tmp_path)).rails


def test_a_channel_disabled_while_it_is_read_is_no_sample(orin, tmp_path, monkeypatch):
    meter = find_ina3221(str(tmp_path))
    meter.start(1)

    def refuse(*_):
        raise OSError(errno.ENODATA, "No data available")

    monkeypatch.setattr(meter, "read_file", refuse)
    with pytest.raises(SampleError) as caught:
        meter.read(lambda: 0)
    assert caught.value.kind == SampleError.NO_ANSWER
    meter.stop()


def test_rails_of_one_name_are_told_apart_by_chip(tmp_path):
    for chip in ("1-0040", "1-0041"):
        folder = tmp_path / CHIPS / chip / "hwmon/hwmon1"
        folder.mkdir(parents=True)
        for name, value in (("in1_label", "VDD"), ("in1_input", 1), ("curr1_input", 1)):
            (folder / name).write_text(f"{value}\n")
    meter = find_ina3221(str(tmp_path))
    assert meter.rails == meter.total == ["VDD@1-0040", "VDD@1-0041"]
    assert "not in the table" in meter.about["scope"]


class TestTotalAlone(OnModule):
    board = "orin-nano"

    @pytest.fixture
    def meter(self, rig, tmp_path):
        return find_ina3221_total(str(tmp_path))


def test_the_total_alone_has_no_rail_beside_it(tmp_path):
    VirtualModule(tmp_path, "xavier-nx")
    meter = find_ina3221_total(str(tmp_path))
    assert meter.rails == meter.total == ["VDD_IN"]
    whole = find_ina3221(str(tmp_path)).about["traits"]
    assert meter.about["traits"]["delay_bound_ns"] * 3 == whole["delay_bound_ns"]


def test_where_every_rail_is_of_the_total_there_is_no_second_meter(tmp_path):
    VirtualModule(tmp_path, "agx-orin")
    with pytest.raises(MeterError, match="ina3221 is this meter"):
        find_ina3221_total(str(tmp_path))


def test_a_board_without_the_chip_says_so(tmp_path):
    with pytest.raises(MeterError, match="no INA3221"):
        find_ina3221(str(tmp_path))
