"""What the host says to an agent: one class for each message, and the table that says how each is laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.wire.codec import Tensor


class Hello(NamedTuple):
    """H→A. Opens a session; a ``fence`` above any seen takes the board over, one below is refused."""

    version: int
    fence: int
    session: int  # random, new for every connection
    agent_sha256: str  # the agent we expect to talk to, or empty for any
    max_message_bytes: int  # largest message we take
    note: str


class Probe(NamedTuple):
    """H→A. Clock probe; the host keeps its own stamps. Travels in a short frame, as its reply."""

    seq: int


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
    entry; an empty tuple, or one that is too short, runs on to the last exit. ``stop_after_ns`` has an entry
    for each item, or none at all: stop at the first exit reached this long after the start of execution, 0
    for never. ``samples`` are indices into the task's data set, -1 where unknown. ``input`` is of shape
    (batch, ...).
    """

    action: int
    model: str
    instance: int
    thresholds: Sequence[Sequence[float]]
    stop_after_ns: Sequence[int]
    samples: Sequence[int]
    input: Tensor


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


class OpenDatagrams(NamedTuple):
    """H→A. Take sealed pictures on a UDP socket; answered by ``DatagramsOpen``. Another one closes the first.

    ``key`` has 32 bytes and is new each time; ``address`` is what the socket is bound to, empty for the one that this
    session came to.
    """

    request: int
    key: bytes | memoryview
    address: str


class Bye(NamedTuple):
    """H→A. Stop; answered by ``Goodbye``."""


LAYOUTS = {
    0x01: (Hello, "u16 u64 u64 str u32 str"),
    0x02: (Probe, "u16"),
    0x03: (PutBlob, "str u64 u64 bytes"),
    0x04: (AskBlob, "str"),
    0x05: (LoadModel, "u32 str str[] str json u8"),
    0x06: (UnloadModel, "u32 str"),
    0x07: (Infer, "u64 str u8 f64[][] u64[] i64[] tensor"),
    0x08: (Cancel, "u64 u16[]"),
    0x09: (Meter, "str bool u64"),
    0x0A: (Settings, "u32 str str"),
    0x0B: (Bye, ""),
    0x0C: (OpenDatagrams, "u32 bytes str"),
}
