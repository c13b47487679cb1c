"""The terminal shows everything that was asked for, in 80 columns too."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from testbed.model.record import TrialStatus
from testbed.report.console import to_console
from testbed.report.layout import main_tables
from testbed.report.tables import analyse
from testbed.store.reader import Damage, read_run
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return analyse(read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=100)))


def shown(analysis, width=160):
    out = io.StringIO()
    console = Console(file=out, width=width)
    for renderable in to_console(analysis):
        console.print(renderable)
    return out.getvalue()


def test_everything_that_was_asked_for_is_there(analysis):
    text = shown(analysis)
    for word in (
        "edgesight",
        "edge-only",
        "dc-only",
        "91.0 %",
        "offloaded",
        "p99 ms",
        "McNemar",
        "Pace error",
        "mJ",
    ):
        assert word in text


def test_narrow_terminals_break_no_word(analysis):
    text = shown(analysis, width=80)
    assert max(map(len, text.splitlines())) <= 80
    first, *_ = main_tables(analysis)
    for word in {word for row in (first.head, *first.body) for cell in row for word in cell.split()}:
        assert word in text


def test_what_fits_stays_a_table(analysis):
    assert "┃ policy" in shown(analysis, width=130)


def test_markup_in_names_is_not_obeyed(analysis):
    damaged = msgspec.structs.replace(
        analysis, damage=(Damage(file="[red]x[/red]", line=3, reason="[bold]torn"),)
    )
    assert "[red]x[/red]:3: [bold]torn" in shown(damaged)


def test_trials_that_do_not_count_are_listed(analysis):
    bad = msgspec.structs.replace(analysis.trials[0], counts=False, status=TrialStatus.LINK_ERROR.value)
    assert "link_error" in shown(msgspec.structs.replace(analysis, trials=(bad,)))
