from __future__ import annotations

import pytest

from drivers.virtual.meters.ina3221 import MODULES, VirtualModule


@pytest.mark.parametrize("board", MODULES)
def test_shares_of_the_total_make_one(board):
    module = MODULES[board]
    outer = [c.share for channels in module.chips.values() for c in channels if not c.inside]
    assert sum(outer) == pytest.approx(0.0 if module.ina238 else 1.0)


def test_values_are_whole_steps_of_the_chip(tmp_path):
    rig = VirtualModule(tmp_path, "agx-orin")
    rig.draw(17.3)
    for file in tmp_path.rglob("curr*_input"):
        assert int(file.read_text()) % 20 == 0
    for file in tmp_path.rglob("in[123]_input"):
        assert int(file.read_text()) % 8 == 0


def test_labels_of_agx_orin_hold_nc_and_the_sum_channel(tmp_path):
    VirtualModule(tmp_path, "agx-orin")
    labels = [file.read_text().strip() for file in sorted(tmp_path.rglob("in*_label"))]
    assert labels.count("NC") == 2
    assert "sum of shunt voltages" in labels
