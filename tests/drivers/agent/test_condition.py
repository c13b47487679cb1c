from __future__ import annotations

import json

import pytest

from drivers.agent.condition import CONDITION, Condition
from drivers.agent.settings import BoardSettings, SettingError


def lay(root, **files):
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")


def test_temperatures_clocks_and_what_slows_it(tmp_path):
    thermal, cpu = "sys/class/thermal", "sys/devices/system/cpu"
    lay(
        tmp_path,
        **{
            f"{thermal}/thermal_zone0/type": "cpu-thermal",
            f"{thermal}/thermal_zone0/temp": "45500",
            f"{thermal}/thermal_zone1/type": "gpu-thermal",
            f"{thermal}/thermal_zone1/temp": "-256000",  # how a powered-down zone of a Jetson reads
            f"{thermal}/cooling_device0/type": "pwm-fan",
            f"{thermal}/cooling_device0/cur_state": "2",
            f"{thermal}/cooling_device1/type": "cpufreq-cpu0",
            f"{thermal}/cooling_device1/cur_state": "3",
            f"{thermal}/cooling_device2/type": "devfreq-gpu",
            f"{thermal}/cooling_device2/cur_state": "0",
            f"{cpu}/cpu0/cpufreq/scaling_cur_freq": "729600",
            f"{cpu}/cpu1/cpufreq/scaling_cur_freq": "1510400",
            "sys/class/devfreq/17000000.gpu/cur_freq": "918000000",
        },
    )
    assert json.loads(Condition(tmp_path).read(CONDITION)) == {
        "temperature_c": {"cpu-thermal": 45.5},
        "clock_hz": {"cpu": 1_510_400_000, "17000000.gpu": 918_000_000},
        "slowed": ["cpufreq-cpu0"],
    }


def test_a_board_that_tells_nothing(tmp_path):
    assert Condition(tmp_path).read(CONDITION) == "{}"


def test_it_is_read_like_a_setting_and_never_set(tmp_path):
    settings = BoardSettings([Condition(tmp_path)])
    assert settings.names() == []
    assert settings.read(CONDITION) == "{}"
    with pytest.raises(SettingError, match="only be read"):
        settings.write(CONDITION, "1")
    with pytest.raises(SettingError, match="no setting"):
        settings.read("conditions")
