"""Records that stay in their file."""

from __future__ import annotations

import pytest

from testbed.errors import StoreError
from testbed.store.reader import read_attempt
from testbed.store.records import MARK, Seen
from tests.testbed.store.synthetic import write_run


@pytest.fixture
def journal(tmp_path):
    return next(write_run(tmp_path / "run", count=30).glob("trials/*/*.jsonl"))


def test_they_are_a_sequence_that_can_be_read_again(journal):
    records = read_attempt(journal).records
    assert len(records) == len(list(records)) == len(list(records)) > 2
    assert records[0] in records
    assert records[1:3] == tuple(records)[1:3]
    assert records == tuple(records)
    assert records != tuple(records)[:-1]


def test_what_is_written_later_is_not_seen(journal):
    records = read_attempt(journal).records
    before = len(list(records))
    with journal.open("ab") as file:
        file.write(MARK + b"}\n")
    assert len(list(records)) == before


def test_a_journal_that_changed_meanwhile_is_said(journal):
    records = read_attempt(journal).records
    journal.write_bytes(journal.read_bytes().replace(b'"outcome"', b'"0utcome"'))
    with pytest.raises(StoreError, match="changed while it was read"):
        list(records)


def test_second_ones_are_noticed_whatever_their_number():
    seen = Seen(3)
    assert [seen.again(i) for i in (0, 2, 0, 7, 7, -1, -1)] == [False, False, True, False, True, False, True]
