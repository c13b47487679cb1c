import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.agent import ledger as module
from drivers.agent.ledger import Ledger
from testbed.wire import messages as m
from tests.drivers.agent.conftest import PICTURE, infer


def done(entry, exits=None):
    exits = [0] * entry.batch if exits is None else exits
    return m.Done(entry.action, entry.received, 1, 2, exits, (PICTURE,), {})


def test_partial_cancels_during_are_told_apart():
    ledger = Ledger(8)
    entry, _ = ledger.admit(infer(1, items=3), 0)
    assert ledger.start(entry)
    assert ledger.cancel(1, (0, 1)) == []
    assert entry.cancelled == {0, 1}
    *cancelled, final = ledger.finish(entry, done(entry, [0, m.CANCELLED_EXIT, 0]))
    assert cancelled == [m.Cancelled(1, m.DURING, (1,)), m.Cancelled(1, m.TOO_LATE, (0,))]
    assert isinstance(final, m.Done)


def test_early_partial_cancels_add_up_and_all_wins():
    ledger = Ledger(8)
    ledger.cancel(1, (0,))
    ledger.cancel(1, (2,))
    entry, replies = ledger.admit(infer(1, items=3), 0)
    assert entry.cancelled == {0, 2}
    assert replies[1] == m.Cancelled(1, m.BEFORE_START, (0, 2))
    ledger.cancel(2, (0,))
    ledger.cancel(2, ())
    assert ledger.admit(infer(2, items=3), 0) == (None, [m.Cancelled(2, m.BEFORE_START, ())])


def test_memory_is_bounded_and_what_was_forgotten_is_never_executed_again(monkeypatch):
    monkeypatch.setattr(module, "_MAX_REPLIES", 10)
    ledger = Ledger(8)
    for action in range(30):
        entry, _ = ledger.admit(infer(action), 0)
        ledger.start(entry)
        ledger.finish(entry, done(entry))
        ledger.let_go(entry)
        assert entry.infer is None
    assert len(ledger._entries) == 10
    assert ledger.admit(infer(3), 0)[1][0].code == "forgotten"
    assert ledger.cancel(3, ())[0].stage == m.TOO_LATE
    assert ledger.executions == 30
    for action in range(2000):
        ledger.cancel(10_000 + action, ())
    assert len(ledger._early) <= 1024


def test_large_replies_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(module, "_MAX_REPLY_BYTES", 400_000)
    ledger = Ledger(8)
    for action in range(10):
        entry, _ = ledger.admit(infer(action), 0)
        ledger.start(entry)
        ledger.finish(entry, done(entry))
    assert len(ledger._entries) == 2


def test_what_led_nowhere_may_come_again():
    ledger = Ledger(1)
    entry, _ = ledger.admit(infer(1), 0)
    ledger.withdraw(entry)
    assert ledger.unfinished == 0
    assert ledger.admit(infer(1), 0)[0] is not None


def test_a_new_holder_s_numbers_start_over_and_old_work_is_silent():
    ledger = Ledger(8)
    running, _ = ledger.admit(infer(1), 0)
    queued, _ = ledger.admit(infer(2), 0)
    ledger.start(running)
    ledger.clear()
    assert not ledger.start(queued)
    assert ledger.finish(running, done(running)) == []
    assert ledger.unfinished == 0
    assert ledger.admit(infer(1), 5)[0] is not None


@pytest.mark.parametrize("limit", [1, 3])
@given(orders=st.lists(st.tuples(st.sampled_from("acsf"), st.integers(0, 5)), max_size=60))
def test_any_order_of_events_executes_once_and_answers_finally(limit, orders):
    ledger = Ledger(limit)
    queue, running, final, begun = [], [], {}, []

    def note(messages):
        for message in messages:
            whole = isinstance(message, m.Cancelled) and message.stage < m.TOO_LATE and not message.items
            if isinstance(message, m.Done) or whole:
                assert final.setdefault(message.action, message) == message

    for what, action in orders:
        if what == "a":
            entry, replies = ledger.admit(infer(action), 0)
            note(replies)
            if entry:
                queue.append(entry)
        elif what == "c":
            note(ledger.cancel(action, ()))
        elif what == "s" and queue:
            entry = queue.pop(0)
            if ledger.start(entry):
                begun.append(entry.action)
                running.append(entry)
        elif what == "f" and running:
            entry = running.pop(0)
            exits = [m.CANCELLED_EXIT if i in entry.cancelled else 0 for i in range(entry.batch)]
            note(ledger.finish(entry, done(entry, exits)))
        assert 0 <= ledger.unfinished <= limit
    assert len(begun) == len(set(begun))
