from __future__ import annotations

import json
import subprocess
import sys

import pytest
from rich.table import Table

from testbed.cli.door import Exit
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


READER_LEFT = """
import os, sys
from testbed.cli.door import Ended, Exit, door
read, write = os.pipe()
os.close(read)
os.dup2(write, {stream})
with door(json={json}, debug=False) as terminal:
    for _ in range(3):
        terminal.note("a note")
        terminal.show("a line")
    if terminal.json:
        terminal.emit({{"schema": 1}})
    raise Ended(Exit.{code})
"""


@pytest.mark.parametrize("stream", [1, 2])
@pytest.mark.parametrize("json", [False, True])
@pytest.mark.parametrize("code", [Exit.PASS, Exit.TIMEOUT])
def test_the_code_stays_true_when_the_reader_leaves(stream, json, code):
    text = READER_LEFT.format(stream=stream, json=json, code=code.name)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code
    assert "Error" not in done.stderr + done.stdout


def test_text_from_outside_is_not_markup(capsys):
    Terminal(json=False).note("[red]boards[/red][0]")
    assert capsys.readouterr().err.strip() == "[red]boards[/red][0]"
