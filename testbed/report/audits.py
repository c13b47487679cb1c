"""What was repeated on the RTL while a run went on, of boards whose logic answers from a model of it.

Such a board says in its facts how it is audited (``audit``); what came of it is in the counters of the trials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.store.reader import Attempt

COUNTED = ("rtl_audited", "rtl_answers_differ", "rtl_cycles_differ")
"""Executions repeated on the RTL; of these, with another answer, and with the same answer in other cycles."""


def rtl_audit(attempts: Sequence[Attempt]) -> Iterable[str]:
    """One sentence on all boards that are audited so; none where there is no such board."""
    said = {
        facts.id: str(facts.facts["audit"])
        for one in attempts
        for facts in one.boards
        if "audit" in facts.facts
    }
    if not said:
        return
    executed = sum(
        len(
            {step.action for record in one.records for step in record.steps if step.board in said and step.ok}
        )
        for one in attempts
    )
    counters = [one.end.counters for one in attempts if one.end is not None]
    repeated, answers, cycles = (int(sum(c.get(name, 0) for c in counters)) for name in COUNTED)
    boards = ", ".join(sorted(said))
    if not repeated:
        how = ", ".join(sorted(set(said.values())))
        yield f"None of {executed} executions on {boards} was repeated on the overlay's RTL (audit: {how})."
        return
    wrong = [
        f"{count} gave {what}"
        for count, what in ((answers, "another answer"), (cycles, "the answer in other cycles"))
        if count
    ]
    result = " and ".join(wrong) or "answers and cycles agreed in each"
    yield (
        f"{repeated} of {executed} executions on {boards}, drawn from the seed, were repeated on the overlay's RTL: "
        f"{result}."
    )
