"""One honest sentence: how many were repeated, what came of it, or why none was."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from testbed.report.audits import rtl_audit


def attempt(counters=None, board="fpga", audit="on the RTL", steps=4):
    facts = {} if audit is None else {"audit": audit}
    made = [SimpleNamespace(action=i, board=board, ok=i != 3) for i in range(steps)]
    other = SimpleNamespace(action=9, board="host", ok=True)
    return SimpleNamespace(
        boards=(SimpleNamespace(id=board, facts=facts), SimpleNamespace(id="host", facts={})),
        records=(SimpleNamespace(steps=made[:2]), SimpleNamespace(steps=[*made[1:], other])),
        end=None if counters is None else SimpleNamespace(counters=counters),
    )


def test_nothing_is_said_where_no_board_is_audited():
    assert list(rtl_audit([attempt({}, audit=None)])) == []


def test_none_repeated_says_why():
    why = "not on the RTL: g++ is not installed"
    (text,) = rtl_audit([attempt({}, audit=why), attempt(audit=why)])
    assert text.startswith("None of 6 executions on fpga")
    assert "g++ is not installed" in text


@pytest.mark.parametrize(
    ("more", "result"),
    [
        ({}, "agreed in each"),
        ({"rtl_answers_differ": 1.0}, "1 gave another answer."),
        (
            {"rtl_answers_differ": 1.0, "rtl_cycles_differ": 2.0},
            "1 gave another answer and 2 gave the answer in other",
        ),
    ],
)
def test_counts_add_up_over_trials(more, result):
    (text,) = rtl_audit([attempt({"rtl_audited": 3.0}), attempt({"rtl_audited": 1.0, **more})])
    assert text.startswith("4 of 6 executions on fpga, drawn from the seed")
    assert result in text
