"""What an agent says to the host: one class for each message, and the table that says how each is laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.wire.codec import Tensor

CANCELLED_EXIT = 255  # in Done.exits: the item was cancelled, its row of the outputs is zero
BEFORE_START, DURING, TOO_LATE = 0, 1, 2  # Cancelled.stage


class Welcome(NamedTuple):
    """A→H. The session is open; ``facts`` says what the board is."""

    version: int
    fence: int
    agent_sha256: str
    boot_id: str
    facts: Mapping[str, object]
    max_inflight: int  # actions that may be accepted and unfinished at a time
    max_message_bytes: int


class Refused(NamedTuple):
    """A→H. No session; ``code`` is ``version``, ``fence``, ``agent`` or ``busy``."""

    code: str
    text: str


HELD_TOO_LONG = 0xFFFFFFFF


class ProbeReply(NamedTuple):
    """A→H. ``t1`` on receipt, board clock; sent back ``held`` ns later, `HELD_TOO_LONG` where that does not fit."""

    seq: int
    t1: int
    held: int


class BlobState(NamedTuple):
    """A→H. ``have`` bytes from the start are on the board; ``text`` says why bytes were dropped."""

    sha256: str
    have: int
    complete: bool
    text: str


class Loaded(NamedTuple):
    """A→H. A model is resident, or gone, or could not be (``text``). ``memory_bytes`` 0 is unknown."""

    request: int
    model: str
    ok: bool
    load_ns: int
    memory_bytes: int
    text: str


class Accepted(NamedTuple):
    """A→H. An action is in the queue, or was already."""

    action: int
    received: int


class Started(NamedTuple):
    """A→H. An action began; only sent when asked for by the agent's options."""

    action: int
    t: int


class Done(NamedTuple):
    """A→H. An action finished, board clock; ``outputs[0]`` is the probabilities, (batch, classes)."""

    action: int
    received: int
    started: int
    finished: int
    exits: Sequence[int]
    outputs: Sequence[Tensor]
    report: Mapping[str, object]


class Cancelled(NamedTuple):
    """A→H. What became of a ``Cancel``; without ``items`` and below TOO_LATE it closes the action."""

    action: int
    stage: int
    items: Sequence[int]


class Failed(NamedTuple):
    """A→H. An action (``of`` is ``action``) or another request (``of`` is ``request``) failed.

    ``lost_frac`` is the share of an action's input that was lost on the way.
    """

    of: str
    number: int
    code: str
    text: str
    traceback: str
    lost_frac: float = 0.0


class PowerSamples(NamedTuple):
    """A→H. ``power_w`` in rows of ``rails``, one per stamp in ``t``; ``dropped`` rows were lost before.

    ``faults`` names kinds of readings that gave no row, one per run of a kind: ``fault_counts`` many, the first and
    the last stamped by a pair in ``fault_spans``.
    """

    meter: str
    rails: Sequence[str]
    t: Sequence[int]
    power_w: Sequence[float]
    dropped: int
    faults: Sequence[str] = ()
    fault_counts: Sequence[int] = ()
    fault_spans: Sequence[int] = ()


class Log(NamedTuple):
    """A→H. A line for people; ``level`` as in ``logging``."""

    level: int
    text: str


class SettingsReply(NamedTuple):
    """A→H. The value that holds now, or why not."""

    request: int
    ok: bool
    value: str
    text: str


class DatagramsOpen(NamedTuple):
    """A→H. Where sealed datagrams are taken, or (``text``) why there are none."""

    request: int
    ok: bool
    address: str
    port: int
    text: str


class Goodbye(NamedTuple):
    """A→H. The agent ends."""

    reason: str


LAYOUTS = {
    0x81: (Welcome, "u16 u64 str str json u16 u32"),
    0x82: (Refused, "str str"),
    0x83: (ProbeReply, "u16 i64 u32"),
    0x84: (BlobState, "str u64 bool str"),
    0x85: (Loaded, "u32 str bool u64 u64 str"),
    0x86: (Accepted, "u64 i64"),
    0x87: (Started, "u64 i64"),
    0x88: (Done, "u64 i64 i64 i64 u8[] tensor[] json"),
    0x89: (Cancelled, "u64 u8 u16[]"),
    0x8A: (Failed, "str u64 str str str f64"),
    0x8B: (PowerSamples, "str str[] i64[] f64[] u32 str[] u32[] i64[]"),
    0x8C: (Log, "u8 str"),
    0x8D: (SettingsReply, "u32 bool str str"),
    0x8E: (Goodbye, "str"),
    0x8F: (DatagramsOpen, "u32 bool str u16 str"),
}  # type codes from 0x80 on are the agent's
