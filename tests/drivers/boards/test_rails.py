from __future__ import annotations

import pytest

from drivers.boards.rails import total_rails


@pytest.mark.parametrize(
    ("rails", "total"),
    [
        (("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"), ("VDD_IN",)),
        (("POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"), ("POM_5V_IN",)),
        (("VDD_GPU_SOC", "VDD_CPU_CV", "NC", "VIN_SYS_5V0"), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")),
        ((), ()),
    ],
)
def test_parts_are_not_added_to_their_whole(rails, total):
    assert total_rails(rails) == total
