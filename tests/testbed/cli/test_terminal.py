from __future__ import annotations

import json

import pytest
from rich.table import Table

from testbed.cli.terminal import Terminal
from testbed.model.origin import Origin


def table() -> Table:
    made = Table("policy", "response")
    made.add_row("edgesight", "12.5 ms")
    return made


def test_a_document_is_json_and_comes_once(capsys):
    terminal = Terminal(json=True)
    terminal.emit({"schema": 1, "origin": Origin.EMULATED, "missing": None})
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "origin": "emulated", "missing": None}
    with pytest.raises(RuntimeError, match="one JSON document"):
        terminal.emit({})


def test_with_json_nothing_else_reaches_standard_output(capsys):
    terminal = Terminal(json=True)
    terminal.show(table())
    terminal.start("trial", 10)
    terminal.advance(3)
    terminal.note("half way")
    terminal.done()
    seen = capsys.readouterr()
    assert seen.out == ""
    assert "half way" in seen.err


def test_tables_carry_no_colour_codes_into_a_file(capsys):
    Terminal(json=False).show(table())
    seen = capsys.readouterr().out
    assert "edgesight" in seen
    assert "\x1b" not in seen


def test_without_a_terminal_a_bar_is_one_line(capsys):
    terminal = Terminal(json=False)
    terminal.start("b0-edgesight", 2000)
    for _ in range(2000):
        terminal.advance()
    terminal.done()
    assert capsys.readouterr().err.splitlines() == ["b0-edgesight"]


def test_text_from_outside_is_not_markup(capsys):
    Terminal(json=False).note("[red]boards[/red][0]")
    assert capsys.readouterr().err.strip() == "[red]boards[/red][0]"
