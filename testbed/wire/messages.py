"""The messages, version 4: both directions under one roof, and their bytes.

A message is one byte of type, then its fields as ``codec`` describes. Times are integer nanoseconds on the
clock of whoever stamped them; ``request`` and ``action`` numbers are chosen by the host.

History: 1, first version; 2, probes without the host's stamp, in short frames; 3, power samples with their faults;
4, datagrams, and failures with what was lost.
``Hello`` and ``Refused`` keep their layout for ever (an old end must be able to refuse a new one), so bytes behind
their last field are ignored; any other message must be consumed exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire import from_agent, from_host
from testbed.wire.codec import Layout
from testbed.wire.from_agent import (
    BEFORE_START,
    CANCELLED_EXIT,
    DURING,
    HELD_TOO_LONG,
    TOO_LATE,
    Accepted,
    BlobState,
    Cancelled,
    DatagramsOpen,
    Done,
    Failed,
    Goodbye,
    Loaded,
    Log,
    PowerSamples,
    ProbeReply,
    Refused,
    SettingsReply,
    Started,
    Welcome,
)
from testbed.wire.from_host import (
    AskBlob,
    Bye,
    Cancel,
    Hello,
    Infer,
    LoadModel,
    Meter,
    OpenDatagrams,
    Probe,
    PutBlob,
    Settings,
    UnloadModel,
)

if TYPE_CHECKING:
    from typing import TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview

__all__ = [
    "BEFORE_START",
    "CANCELLED_EXIT",
    "DURING",
    "FROM_AGENT",
    "FROM_HOST",
    "HELD_TOO_LONG",
    "LAYOUTS",
    "PROTOCOL_VERSION",
    "TOO_LATE",
    "Accepted",
    "AskBlob",
    "BlobState",
    "Bye",
    "Cancel",
    "Cancelled",
    "DatagramsOpen",
    "Done",
    "Failed",
    "Goodbye",
    "Hello",
    "Infer",
    "LoadModel",
    "Loaded",
    "Log",
    "Message",
    "Meter",
    "OpenDatagrams",
    "PowerSamples",
    "Probe",
    "ProbeReply",
    "PutBlob",
    "Refused",
    "Settings",
    "SettingsReply",
    "Started",
    "UnloadModel",
    "Welcome",
    "check_message",
    "decode_message",
    "encode_message",
]

PROTOCOL_VERSION = 4

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
        | OpenDatagrams
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
        | DatagramsOpen
        | Goodbye
    )
else:
    Message = tuple  # boards' Pythons have no unions at run time

LAYOUTS = {**from_host.LAYOUTS, **from_agent.LAYOUTS}

FROM_AGENT = frozenset(kind for kind, _ in from_agent.LAYOUTS.values())
FROM_HOST = frozenset(kind for kind, _ in from_host.LAYOUTS.values())
_OPEN_ENDED = frozenset((Hello, Refused))

_ENCODERS = {kind: (bytes((code,)), Layout(kinds)) for code, (kind, kinds) in LAYOUTS.items()}
_DECODERS: dict[int, tuple[type[Any], Layout, bool]] = {
    code: (kind, Layout(kinds), kind in _OPEN_ENDED) for code, (kind, kinds) in LAYOUTS.items()
}
_build = tuple.__new__  # a NamedTuple's own constructor is a call into Python


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
    kind, layout, open_ended = found
    values, at = layout.read(view, 1)
    if at != len(view) and not open_ended:
        raise RemoteWireError(f"{kind.__name__} has {len(view) - at} bytes too many")
    message: Message = _build(kind, values)
    return message


def check_message(message: object) -> None:
    """Refuse what is no message at all.

    Raises:
        LocalWireError: its class is not in the table.
    """
    if type(message) not in _ENCODERS:
        raise LocalWireError(f"{type(message).__name__} is not a message")
