import pytest

from testbed.wire import Role, State
from testbed.wire import messages as m
from testbed.wire.automaton import TRANSITIONS

FREE_HOST = m.FROM_HOST - {m.Hello, m.Bye}
FREE_AGENT = m.FROM_AGENT - {m.Welcome, m.Refused, m.Goodbye}


def expected(state, kind):
    """The table of the docstring, said a second time."""
    if kind is m.Hello:
        return State.GREETING
    if state in (State.FRESH, State.CLOSED, State.FAILED):
        return None
    if kind is m.Goodbye:
        return State.CLOSED
    if state is State.CLOSING:
        return State.CLOSING if kind in FREE_AGENT else None
    if kind is m.Bye:
        return State.CLOSING
    if state is State.GREETING:
        return {m.Welcome: State.READY, m.Refused: State.FRESH}.get(kind)
    return State.READY if kind in FREE_HOST | FREE_AGENT else None


@pytest.mark.parametrize("state", State)
def test_every_pair_is_as_documented(state):
    for kind in m.FROM_HOST | m.FROM_AGENT:
        assert TRANSITIONS.get((state, kind)) is expected(state, kind), (state, kind)


def test_there_is_nothing_else_in_the_table():
    assert {kind for _, kind in TRANSITIONS} <= m.FROM_HOST | m.FROM_AGENT
    assert len(Role) == 2
