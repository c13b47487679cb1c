from __future__ import annotations

from testbed.coordinator.notes import Notes
from testbed.store.schema import Note


def test_what_was_noted_between_trials_stands_in_the_next_journal() -> None:
    notes, first, second = Notes(), list[Note](), list[Note]()
    notes.write("a")
    notes.into(first.append)
    notes.write("b")
    notes.into(None)
    notes.write("c")
    notes.into(second.append)
    assert [note.text for note in first] == ["a", "b"]
    assert [note.text for note in second] == ["c"]
    assert first[0].t <= first[1].t <= second[0].t
