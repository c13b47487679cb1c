"""What the tables say of a run; their shapes are in test_layout."""

from __future__ import annotations

import msgspec
import pytest

from testbed.report.run_tables import boards, damage, trials
from testbed.report.tables import analyse
from testbed.store.reader import Damage, read_run
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return analyse(read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=100)))


def test_every_board_is_told_under_every_policy_that_used_it(analysis):
    told = [(row[0], row[1]) for row in boards(analysis).body]
    assert told == [(row.policy, row.board) for row in analysis.boards]
    assert len(set(told)) == len(told) > 3


def test_a_trial_that_does_not_count_says_so(analysis):
    first, *others = analysis.trials
    cut = msgspec.structs.replace(
        first, counts=False, status="failed", reason="the run broke", host_note="busy"
    )
    body = trials(msgspec.structs.replace(analysis, trials=(cut, *others))).body
    assert body[0][2:5] == ("failed", "no", "the run broke; busy")
    assert body[1][3] == "yes"


def test_damage_names_the_line_or_the_whole_file(analysis):
    found = (Damage(file="f", line=7, reason="r"), Damage(file="g", line=0, reason="gone"))
    assert damage(msgspec.structs.replace(analysis, damage=found)).body == (
        ("f", "r", "7"),
        ("g", "gone", "whole"),
    )
