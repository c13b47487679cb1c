"""Is it the board we know? What must not change when a board comes back, whatever happened to it meanwhile.

A restart gives another boot identifier and may give another kernel; it does not change the machine. An address that
leads to another device now (a cable moved, a number given anew) must not pass for the board whose profile is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.errors import BoardError

if TYPE_CHECKING:
    from testbed.wire.messages import Welcome

_TRAITS = ("machine", "hostname", "cpus", "memory_bytes")


def traits(facts: dict[str, Any]) -> dict[str, Any]:
    """What identifies a board among the facts that its agent tells."""
    jetson = facts.get("jetson")
    model = {"jetson": jetson.get("model")} if isinstance(jetson, dict) else {}
    return {name: facts[name] for name in _TRAITS if name in facts} | model


def check_same(first: Welcome, now: Welcome, board: str) -> None:
    """Refuse another board in the place of ours.

    Args:
        first: what was there when the board was opened. now: what answers after a new connection.

    Raises:
        BoardError: it is another one; says what differs.
    """
    known, seen = traits(dict(first.facts)), traits(dict(now.facts))
    differing = [name for name in sorted(known.keys() | seen.keys()) if known.get(name) != seen.get(name)]
    if differing:
        told = ", ".join(f"{name} {seen.get(name)!r} instead of {known.get(name)!r}" for name in differing)
        raise BoardError(
            f"another board answers: {told}", board=board, cure="Put the right one back, or start a new run"
        )
