"""What a host says of itself in a ``Hello``: who it is, who gave it its token, how long silence may last.

It travels as a JSON object in the field ``note``, whose layout never changes; an empty note claims nothing but the
token. Short, since a Hello must fit one chunk of a serial line.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

MAX_HOLDER_BYTES = 64
MAX_ISSUER_BYTES = 16
_MILLISECOND = 1_000_000


class Claim(NamedTuple):
    """A holder's claim to a board.

    Attributes:
        token: the fencing token of the Hello itself; of two claims the higher one is the newer.
        holder: who it is, for people.
        issuer: the state folder that gave the token. One issuer gives a board to one holder at a time, so its newer
            token says that its older one is over; of another issuer's holders it knows nothing.
        ttl_ns: the lease is over when nothing was heard from the holder for so long; 0: never by silence.
    """

    token: int
    holder: str = ""
    issuer: str = ""
    ttl_ns: int = 0


def note_of(claim: Claim) -> str:
    """The note of a Hello; too long names are cut."""
    if not (claim.holder or claim.issuer or claim.ttl_ns):
        return ""
    told = {
        "holder": _cut(claim.holder, MAX_HOLDER_BYTES),
        "issuer": _cut(claim.issuer, MAX_ISSUER_BYTES),
        "ttl_ms": claim.ttl_ns // _MILLISECOND,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def claim_of(token: int, note: str) -> Claim:
    """The claim of a Hello; a note that is none of ours claims nothing but the token."""
    try:
        told: Any = json.loads(note) if note else {}
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    ttl_ms = told.get("ttl_ms", 0)
    return Claim(
        token,
        _cut(str(told.get("holder", "")), MAX_HOLDER_BYTES),
        _cut(str(told.get("issuer", "")), MAX_ISSUER_BYTES),
        max(0, ttl_ms) * _MILLISECOND if isinstance(ttl_ms, int) else 0,
    )


def _cut(text: str, size: int) -> str:
    # What JSON would escape would grow on the wire: a Hello must fit its chunk whatever a user is called.
    text = "".join(c if c.isprintable() and c not in '"\\' else "?" for c in text)
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
