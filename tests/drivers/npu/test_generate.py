"""What is derived from registers.toml is current, and says what the description says."""

from __future__ import annotations

import ast
import re
import sys

from drivers.npu import generate, registers
from drivers.npu.description import read_description

DESCRIBED = read_description()


def test_everything_derived_is_current():
    stale = [
        str(file) for file, text in generate.outputs(DESCRIBED).items() if file.read_text("utf-8") != text
    ]
    assert not stale, f"run python -m drivers.npu.generate: {stale}"


def test_check_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert generate.main() == 0
    monkeypatch.setattr(generate, "outputs", lambda _: {generate.ROOT / "docs/edge-npu.md": "other"})
    assert generate.main() == 1
    assert "docs/edge-npu.md: not current" in capsys.readouterr().err


def test_header_and_python_agree():
    header = dict(re.findall(r"NPU_(\w+) = \d+'h([0-9A-F]+);", generate.verilog_header(DESCRIBED)))
    for register in DESCRIBED.registers:
        name = register.name if register.words != 2 else f"{register.name}_LO"
        assert int(header[register.name], 16) == getattr(registers, name) == register.offset
    for command in DESCRIBED.commands:
        assert int(header[f"OP_{command.name}"], 16) == getattr(registers, f"OP_{command.name}")
    assert len(header) == len(list(generate.constants(DESCRIBED)))


def test_the_agents_map_is_plain():
    text = generate.python_map(DESCRIBED, "the agent")
    tree = ast.parse(text, feature_version=(3, 8))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)]
