from __future__ import annotations

import pytest

from drivers.agent.meters.rails import total_of

ORIN = ("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")
AGX = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO")


@pytest.mark.parametrize(
    ("model", "rails", "total"),
    [
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", ORIN, ("VDD_IN",)),
        ("NVIDIA Jetson Orin Nano Developer Kit Super", ORIN, ("VDD_IN",)),
        ("NVIDIA Jetson Nano Developer Kit", ("POM_5V_IN", "POM_5V_GPU"), ("POM_5V_IN",)),
        ("quill", ("VDD_SYS_GPU", "VDD_MUX", "VDD_IN"), ("VDD_IN",)),
        ("NVIDIA Jetson AGX Orin Developer Kit", AGX, AGX),
        ("NVIDIA Jetson AGX Orin Developer Kit", AGX[:3], AGX[:3]),
        ("NVIDIA Jetson AGX Thor Developer Kit", ("VDD_GPU", "VIN"), ("VIN",)),
    ],
)
def test_parts_are_not_added_to_their_whole(model, rails, total):
    found, scope = total_of(model, rails)
    assert found == total
    assert "not in the table" not in scope


def test_what_is_not_metered_is_said():
    _, scope = total_of("NVIDIA Jetson AGX Orin Developer Kit", AGX[:3])
    assert "VDDQ_VDD2_1V8AO not metered" in scope


@pytest.mark.parametrize(
    ("rails", "total"),
    [
        (ORIN, ("VDD_IN",)),
        (("A", "NC", "B"), ("A", "B")),
        (("NC@1-0040", "A"), ("A",)),
        ((), ()),
    ],
)
def test_an_unknown_board_is_added_up_by_names_and_that_is_said(rails, total):
    found, scope = total_of("Some Carrier with a Tegra", rails)
    assert found == total
    assert "not in the table" in scope
