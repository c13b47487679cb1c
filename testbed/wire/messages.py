"""The messages, version 1: one class each, and one table that says how each is laid out.

A message is one byte of type, then its fields as ``codec`` describes. Times are integer nanoseconds on the
clock of whoever stamped them; ``request`` and ``action`` numbers are chosen by the host.

History: 1, first version. ``Hello`` and ``Refused`` keep their layout for ever (an old end must be able to
refuse a new one), so bytes behind their last field are ignored; any other message must be consumed exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire.codec import Layout, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview

PROTOCOL_VERSION = 1
CANCELLED_EXIT = 255  # in Done.exits: the item was cancelled, its row of the outputs is zero
BEFORE_START, DURING, TOO_LATE = 0, 1, 2  # Cancelled.stage


class Hello(NamedTuple):
    """H→A. Opens a session; a ``fence`` above any seen takes the board over, one below is refused."""

    version: int
    fence: int
    session: int  # random, new for every connection
    agent_sha256: str  # the agent we expect to talk to, or empty for any
    max_message_bytes: int  # largest message we take
    note: str


class Probe(NamedTuple):
    """H→A. Clock probe; ``t0`` is the host's stamp at sending."""

    seq: int
    t0: int


class PutBlob(NamedTuple):
    """H→A. A piece of a file known by its hash; answered by ``BlobState``."""

    sha256: str
    total: int
    offset: int
    data: bytes | memoryview


class AskBlob(NamedTuple):
    """H→A. How much of a file is there? Answered by ``BlobState``."""

    sha256: str


class LoadModel(NamedTuple):
    """H→A. Make a model resident; its parts are blobs in chain order. Answered by ``Loaded``."""

    request: int
    model: str
    sha256s: Sequence[str]
    runtime: str
    options: Mapping[str, object]
    instances: int


class UnloadModel(NamedTuple):
    """H→A. Free a model; its queued actions fail first. Answered by ``Loaded`` with ``ok`` and no memory."""

    request: int
    model: str


class Infer(NamedTuple):
    """H→A. Execute a batch once, however often it arrives; Accepted, then Done, Failed or Cancelled follow.

    ``thresholds`` has a tuple for each item: stop at the first exit whose largest probability reaches its
    entry; an empty tuple, or one that is too short, runs on to the last exit. ``samples`` are indices into
    the task's data set, -1 where unknown. ``input`` is of shape (batch, ...).
    """

    action: int
    model: str
    instance: int
    thresholds: Sequence[Sequence[float]]
    samples: Sequence[int]
    input: Tensor
    expected_service_ns: int


class Cancel(NamedTuple):
    """H→A. Drop items of an action, all if ``items`` is empty. It may overtake its own ``Infer``."""

    action: int
    items: Sequence[int]


class Meter(NamedTuple):
    """H→A. Start or stop streaming ``PowerSamples``; an empty ``meter`` names every meter of the board."""

    meter: str
    on: bool
    period_ns: int


class Settings(NamedTuple):
    """H→A. Set a board setting, or read it with an empty ``value``; answered by ``SettingsReply``."""

    request: int
    name: str
    value: str


class Bye(NamedTuple):
    """H→A. Stop; answered by ``Goodbye``."""


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


class ProbeReply(NamedTuple):
    """A→H. ``t1`` on receipt and ``t2`` just before sending, board clock."""

    seq: int
    t0: int
    t1: int
    t2: int


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
    """A→H. An action (``of`` is ``action``) or another request (``of`` is ``request``) failed."""

    of: str
    number: int
    code: str
    text: str
    traceback: str


class PowerSamples(NamedTuple):
    """A→H. ``power_w`` in rows of ``rails``, one per stamp in ``t``; ``dropped`` rows were lost before."""

    meter: str
    rails: Sequence[str]
    t: Sequence[int]
    power_w: Sequence[float]
    dropped: int


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


class Goodbye(NamedTuple):
    """A→H. The agent ends."""

    reason: str


if TYPE_CHECKING:
    Message: TypeAlias = (
        Hello
        | Probe
        | PutBlob
        | AskBlob
        | LoadModel
        | UnloadModel
        | Infer
        | Cancel
        | Meter
        | Settings
        | Bye
        | Welcome
        | Refused
        | ProbeReply
        | BlobState
        | Loaded
        | Accepted
        | Started
        | Done
        | Cancelled
        | Failed
        | PowerSamples
        | Log
        | SettingsReply
        | Goodbye
    )
else:
    Message = tuple  # boards' Pythons have no unions at run time

LAYOUTS = {
    0x01: (Hello, "u16 u64 u64 str u32 str"),
    0x02: (Probe, "u32 i64"),
    0x03: (PutBlob, "str u64 u64 bytes"),
    0x04: (AskBlob, "str"),
    0x05: (LoadModel, "u32 str str[] str json u8"),
    0x06: (UnloadModel, "u32 str"),
    0x07: (Infer, "u64 str u8 f64[][] i64[] tensor u64"),
    0x08: (Cancel, "u64 u16[]"),
    0x09: (Meter, "str bool u64"),
    0x0A: (Settings, "u32 str str"),
    0x0B: (Bye, ""),
    0x81: (Welcome, "u16 u64 str str json u16 u32"),
    0x82: (Refused, "str str"),
    0x83: (ProbeReply, "u32 i64 i64 i64"),
    0x84: (BlobState, "str u64 bool str"),
    0x85: (Loaded, "u32 str bool u64 u64 str"),
    0x86: (Accepted, "u64 i64"),
    0x87: (Started, "u64 i64"),
    0x88: (Done, "u64 i64 i64 i64 u8[] tensor[] json"),
    0x89: (Cancelled, "u64 u8 u16[]"),
    0x8A: (Failed, "str u64 str str str"),
    0x8B: (PowerSamples, "str str[] i64[] f64[] u32"),
    0x8C: (Log, "u8 str"),
    0x8D: (SettingsReply, "u32 bool str str"),
    0x8E: (Goodbye, "str"),
}  # type codes from 0x80 on are the agent's

FROM_AGENT = frozenset(kind for code, (kind, _) in LAYOUTS.items() if code >= 0x80)
FROM_HOST = frozenset(kind for code, (kind, _) in LAYOUTS.items() if code < 0x80)
_OPEN_ENDED = frozenset((Hello, Refused))

_ENCODERS = {kind: (bytes((code,)), Layout(kinds)) for code, (kind, kinds) in LAYOUTS.items()}
_DECODERS = {code: (kind, Layout(kinds)) for code, (kind, kinds) in LAYOUTS.items()}


def encode_message(message: Message) -> bytes:
    """The bytes of one message.

    Raises:
        LocalWireError: a value does not fit its field.
    """
    code, layout = _ENCODERS[type(message)]
    out: list[Buffer] = [code]
    layout.write(out, message)
    return b"".join(out)


def decode_message(data: Buffer) -> Message:
    """One message from exactly its bytes; large fields are views into ``data``, so leave that unchanged.

    Raises:
        RemoteWireError: unknown type, or too few or too many bytes.
    """
    view = memoryview(data)
    found = _DECODERS.get(view[0]) if len(view) else None
    if found is None:
        raise RemoteWireError(f"message of unknown type {view[0]:#04x}" if len(view) else "empty message")
    kind, layout = found
    values, at = layout.read(view, 1)
    if at != len(view) and kind not in _OPEN_ENDED:
        raise RemoteWireError(f"{kind.__name__} has {len(view) - at} bytes too many")
    return cast("Message", cast("Callable[..., Any]", kind)(*values))


def check_message(message: object) -> None:
    """Refuse what is no message at all.

    Raises:
        LocalWireError: its class is not in the table.
    """
    if type(message) not in _ENCODERS:
        raise LocalWireError(f"{type(message).__name__} is not a message")
