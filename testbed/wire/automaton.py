"""The automaton of a session: who may say what when.

A row is a state, a column who speaks; what is not listed is forbidden. Both ends run it over what
they send *and* receive; since every message type has one direction, one table serves both.

=========  ==========================================  ==================================================
state      the host may                                the agent may
=========  ==========================================  ==================================================
FRESH      Hello → GREETING                            nothing
GREETING   Hello → GREETING, Bye → CLOSING             Welcome → READY, Refused → FRESH, Goodbye → CLOSED
READY      anything; Hello → GREETING, Bye → CLOSING   all but Welcome, Refused; Goodbye → CLOSED
CLOSING    Hello → GREETING                            all but Welcome, Refused; Goodbye → CLOSED
CLOSED     Hello → GREETING                            nothing; what still arrives is ignored
FAILED     Hello → GREETING                            nothing; what still arrives is ignored
=========  ==========================================  ==================================================
"""

from __future__ import annotations

import enum

from testbed.wire import messages as m


class Role(enum.Enum):
    """Which end we are."""

    HOST = "host"
    AGENT = "agent"


class State(enum.Enum):
    """Where the conversation stands."""

    FRESH = "fresh"
    GREETING = "greeting"
    READY = "ready"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"

    __hash__ = object.__hash__  # members are singletons, and an enum's own hash is a call into Python


def _table() -> dict[tuple[State, type], State]:
    table: dict[tuple[State, type], State] = {(state, m.Hello): State.GREETING for state in State}
    table[State.GREETING, m.Welcome] = State.READY
    table[State.GREETING, m.Refused] = State.FRESH
    for state in (State.GREETING, State.READY):
        table[state, m.Bye] = State.CLOSING
    for state in (State.GREETING, State.READY, State.CLOSING):
        table[state, m.Goodbye] = State.CLOSED
    for kind in m.FROM_HOST - {m.Hello, m.Bye}:
        table[State.READY, kind] = State.READY
    for kind in m.FROM_AGENT - {m.Welcome, m.Refused, m.Goodbye}:
        table[State.READY, kind] = State.READY
        table[State.CLOSING, kind] = State.CLOSING
    return table


TRANSITIONS = _table()


def by_state(kinds: frozenset[type]) -> dict[State, dict[type, State]]:
    """The rows of the table for these messages: in each state what may be said, and where it leads."""
    return {
        state: {kind: after for (now, kind), after in TRANSITIONS.items() if now is state and kind in kinds}
        for state in State
    }
