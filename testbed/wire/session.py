"""One session, without I/O: messages in, bytes out; bytes in, messages out; the same class at both ends.

What may be said when stands in ``automaton``.

A serial agent outlives its hosts, so a new ``Hello`` (another ``session`` number) starts over from any
state. Frames carry the low 16 bits of that number and their direction: leftovers of an old session and our
own echo are dropped.

Sending. Small *control* messages leave first, in order. Everything else is cut into chunks; messages of one
type leave in the order they were sent, types take turns chunk by chunk. So a ``Cancel`` waits for at most
one chunk, **and may overtake the Infer it cancels**: the receiver remembers it. ``LoadModel`` may likewise
overtake a ``PutBlob``.

Receiving. A damaged or lost chunk loses its message and no other; a repeated one is ignored. Nothing is sent
again here: the asker notices the missing reply and repeats the request (a lost greeting with a new ``Hello``
under a new session number); the agent executes an action once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire import messages as m
from testbed.wire.automaton import Role, State, by_state
from testbed.wire.frames import (
    FLAG_FROM_AGENT,
    FLAG_LAST,
    FLAG_SHORT,
    FLAG_START,
    OVERHEAD_BYTES,
    FrameDecoder,
)
from testbed.wire.outbox import BULK, SHORT, Outbox
from testbed.wire.reassembly import Reassembly

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.wire.frames import Buffer, Frame

DEFAULT_CHUNK_BYTES = 32 * 1024 - OVERHEAD_BYTES
"""A frame then is what OpenSSH reads and seals at a time. Source: CHAN_SES_PACKET_DEFAULT, channels.h."""
SERIAL_CHUNK_BYTES = 256
DEFAULT_MAX_MESSAGE_BYTES = 16 * 1024 * 1024


_DEAF = frozenset((State.CLOSED, State.FAILED))
_HOST_SAYS = by_state(m.FROM_HOST)
_AGENT_SAYS = by_state(m.FROM_AGENT)
_AGENT_HEARS = by_state(m.FROM_HOST - {m.Hello})  # a Hello comes in a frame of its own kind


class Session:
    """One end of one link.

    Not thread-safe: whoever shares it holds a lock. It never waits and reads no clock.

    Attributes:
        state: where the conversation stands.
        stale_frames: intact frames of another session.
        echoed_frames: our own frames, come back.
        peer_max_bytes: largest message the other side takes, known after the greeting.
    """

    def __init__(
        self,
        role: Role,
        *,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        high_water_bytes: int = 1 << 20,
    ) -> None:
        """Be one end.

        Args:
            role: which end.
            max_message_bytes: refuse larger ones; memory for unfinished messages is bounded by twice this.
            chunk_bytes: largest payload of a frame we send; nearly 32 KiB, or 256 on a serial line.
            high_water_bytes: ``writable`` is false above this many bytes waiting.
        """
        self.state = State.FRESH
        self.stale_frames = 0
        self.echoed_frames = 0
        self.peer_max_bytes = max_message_bytes
        self._role = role
        self._agent = role is Role.AGENT
        self._says = _AGENT_SAYS if self._agent else _HOST_SAYS
        self._hears = _AGENT_HEARS if self._agent else _AGENT_SAYS
        self._own_flag = FLAG_FROM_AGENT if self._agent else 0
        self._max_message = max_message_bytes
        self._chunk = chunk_bytes
        self._high_water = high_water_bytes
        self._decoder = FrameDecoder()
        self._parts = Reassembly(max_message_bytes)
        self._session: int | None = None
        self._tag = 0
        self._outbox = Outbox(chunk_bytes, self._own_flag)

    def send(self, message: m.Message) -> None:
        """Queue a message.

        Raises:
            LocalWireError: not ours to send in this state, a value does not fit, or it is too large;
            nothing is
                queued then.
        """
        kind = type(message)
        after = self._says[self.state].get(kind)
        if after is None:
            m.check_message(message)
            raise self._forbidden(kind)
        data = m.encode_message(message)
        size = len(data)
        if size > self.peer_max_bytes or size > self._chunk * 0x10000:
            limit = min(self._chunk * 0x10000, self.peer_max_bytes)
            raise LocalWireError(f"{kind.__name__} of {size} bytes; the limit is {limit}")
        if isinstance(message, m.Hello):
            if len(data) > self._chunk:
                raise LocalWireError(f"Hello of {len(data)} bytes must fit one chunk of {self._chunk}")
            if message.session == self._session:
                raise LocalWireError("every Hello needs a new session number")
            self._begin(message.session)
        self.state = after
        self._outbox.put(kind, data)

    def send_late(self, kind: type, make: Callable[[], m.Message]) -> None:
        """Queue a control message that ``make`` builds as it leaves, so that it can stamp that moment.

        Raises:
            LocalWireError: not ours to send in this state.
        """
        after = self._says[self.state].get(kind)
        if after is None:
            raise self._forbidden(kind)
        if kind in BULK or after is not self.state:
            raise LocalWireError(f"{kind.__name__} cannot be made late")
        self._outbox.put_late(make)

    def data_to_send(self, budget_bytes: int = 1 << 16) -> bytes:
        """Whole frames, control first, until the budget is reached; one at least if any waits."""
        frame = self._outbox.next_frame()
        if not self._outbox:
            return b"".join(frame)
        pieces: list[Buffer] = list(frame)
        size = sum(map(len, frame))
        while size < budget_bytes and (frame := self._outbox.next_frame()):
            pieces += frame
            for piece in frame:
                size += len(piece)
        return b"".join(pieces)

    @property
    def pending_bytes(self) -> int:
        """Bytes of messages that wait to be sent (without those made late)."""
        return self._outbox.pending_bytes

    @property
    def wants_to_send(self) -> bool:
        """Whether ``data_to_send`` would give anything."""
        return bool(self._outbox)

    @property
    def writable(self) -> bool:
        """Whether less than the high-water mark waits; ``send`` works regardless."""
        return self._outbox.pending_bytes < self._high_water

    def receive(self, data: Buffer) -> list[m.Message]:
        """Messages that these bytes complete, in order.

        Raises:
            RemoteWireError: the other side broke the rules; the session has FAILED and ``messages`` of the
                exception holds what came before.
        """
        return self._take(self._decoder.feed(data))

    def resync(self) -> list[m.Message]:
        """To call when a line has been quiet with bytes outstanding; see ``FrameDecoder.resync``.

        Raises:
            RemoteWireError: as ``receive``.
        """
        return self._take(self._decoder.resync())

    @property
    def counts(self) -> dict[str, int]:
        """Everything that went wrong on the way in, for people and records."""
        decoder, parts = self._decoder, self._parts
        return {
            "discarded_bytes": decoder.discarded_bytes,
            "header_failures": decoder.header_failures,
            "crc_failures": decoder.crc_failures,
            "stale_frames": self.stale_frames,
            "echoed_frames": self.echoed_frames,
            "repeated_chunks": parts.repeated,
            "lost_messages": parts.lost,
        }

    @property
    def waiting_bytes(self) -> int:
        """Bytes of unfinished frames and messages; while above zero a quiet line deserves ``resync``."""
        return self._decoder.pending_bytes + self._parts.held_bytes

    def _take(self, frames: list[Frame]) -> list[m.Message]:
        taken: list[m.Message] = []
        try:
            for frame in frames:
                message = self._take_frame(frame)
                if message is not None:
                    taken.append(message)
        except RemoteWireError as error:
            self.state = State.FAILED
            error.messages = list(taken)
            raise
        return taken

    def _take_frame(self, frame: Frame) -> m.Message | None:
        flags, tag, number, chunk, payload = frame
        if flags & FLAG_FROM_AGENT == self._own_flag:
            self.echoed_frames += 1
            return None
        if flags & FLAG_START and self._agent:
            return self._take_hello(frame)
        if tag != self._tag or self._session is None:
            self.stale_frames += 1
            return None
        short = flags & FLAG_SHORT != 0
        data = payload if short else self._parts.add(number, chunk, flags & FLAG_LAST != 0, payload)
        if data is None or self.state in _DEAF:
            return None
        message = m.decode_message(data)
        kind = type(message)
        if short is not (kind in SHORT):
            raise RemoteWireError(f"{kind.__name__} in a {'short' if short else 'whole'} frame")
        after = self._hears[self.state].get(kind)
        if after is None:
            raise RemoteWireError(f"{kind.__name__} is not allowed while {self.state.value}")
        if isinstance(message, m.Welcome):
            if message.version != m.PROTOCOL_VERSION:
                raise RemoteWireError(f"agent speaks version {message.version}, not {m.PROTOCOL_VERSION}")
            self.peer_max_bytes = message.max_message_bytes
        self.state = after
        return message

    def _take_hello(self, frame: Frame) -> m.Message | None:
        message = m.decode_message(frame.payload)
        if not isinstance(message, m.Hello):
            raise RemoteWireError(f"{type(message).__name__} cannot open a session")
        if message.session == self._session:
            self._parts.repeated += 1
            return None
        self._begin(message.session)
        self.state = State.GREETING
        self.peer_max_bytes = message.max_message_bytes
        if message.version != m.PROTOCOL_VERSION:
            text = f"this agent speaks version {m.PROTOCOL_VERSION}, not {message.version}"
            self.send(m.Refused("version", text))
            return None
        return message

    def _begin(self, session: int) -> None:
        """Forget the old session and take the number of the new one."""
        self._session = session
        self._tag = session & 0xFFFF
        self._outbox.begin(self._tag)
        self._parts.clear()
        self.peer_max_bytes = self._max_message

    def may_send(self, kind: type) -> bool:
        """Whether this may be said now."""
        return kind in self._says[self.state]

    def _forbidden(self, kind: type) -> LocalWireError:
        role = self._role.value
        return LocalWireError(f"the {role} cannot send {kind.__name__} while {self.state.value}")
