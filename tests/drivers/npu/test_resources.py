"""What the overlay takes: of the default, the blocks that an xc7z020 has fewest of; and how cells are counted."""

from __future__ import annotations

import importlib.util

import pytest

from drivers.npu import resources
from drivers.npu.resources import XC7Z020, Resources, SynthesisMissing


@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("pyosys") is None, reason="pyosys is not installed")
def test_multipliers_and_memories_of_the_default_fit():
    dsp, bram36 = resources.blocks()
    # 16 x 8 multipliers, 4 wide requantisers of 4, 8 lanes of 2 for additions, one for the size of a plane.
    assert dsp == 128 + 16 + 16 + 1
    assert dsp <= 0.9 * XC7Z020.dsp
    # 128 KiB of activations and of weights are 32 each; parameters and tables come on top.
    assert 64 < bram36 <= 0.9 * XC7Z020.bram36


def test_cells_are_added_up():
    cells = {"DSP48E1": 3, "LUT2": 4, "LUT6": 5, "RAM64M": 2, "SRL16E": 1, "FDRE": 7, "FDSE": 1, "CARRY4": 9}
    found = resources.from_cells({**cells, "RAMB36E1": 2, "RAMB18E1": 3})
    assert found == Resources(dsp=3, lut=18, ff=8, bram36=3.5)
    share = found.share(Resources(dsp=6, lut=36, ff=16, bram36=7))
    assert share == {"dsp": 0.5, "lut": 0.5, "ff": 0.5, "bram36": 0.5}


def test_an_unknown_cell_is_not_left_out():
    with pytest.raises(ValueError, match="LDCE"):
        resources.from_cells({"LUT2": 1, "LDCE": 1})


def test_without_pyosys(monkeypatch):
    monkeypatch.setattr(resources.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SynthesisMissing, match="pip install"):
        resources.blocks()


def test_without_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(resources.importlib.util, "find_spec", lambda _: object())
    with pytest.raises(SynthesisMissing, match="no RTL"):
        resources.blocks(overlay=tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("pyosys") is None, reason="pyosys is not installed")
def test_what_yosys_refuses(tmp_path):
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl/edge_npu.sv").write_text("module edge_npu (;\n", "utf-8")
    with pytest.raises(SynthesisMissing, match="syntax error"):
        resources.blocks(overlay=tmp_path)
