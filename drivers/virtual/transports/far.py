"""The far end, a process in the board's namespace: puts pictures together, decodes, takes its time, answers.

Datagrams of pictures meet the rules that boards' agents have (`drivers.agent.gatherings`), coded ones those of
`drivers.virtual.transports.coding`. An answer to datagrams leaves at once and twice more, as a board's does, and over
the stream as well; one to a picture that came by stream before any datagram takes the stream alone.

Started with a file that holds a `FarConfig`. Its first line says that it is there; it then reads one line with the
keys, answers with ``{"ports": [[tcp, udp], ...], "congestion": NAME}``, and works until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Struct

from drivers.agent.gatherings import Gatherings
from drivers.virtual.machine.orders import announce
from drivers.virtual.machine.waiting import die_with_parent, sharpen_timers, take_priority
from drivers.virtual.transports.coding import CodedGatherings, read
from drivers.virtual.transports.contents import AGAIN, CODED, DONE, HELLO, PICTURE, Answer, encode_answer
from drivers.virtual.transports.options import CarrierOptions
from drivers.virtual.transports.streams import Records, control_of, tune
from testbed.errors import RemoteWireError
from testbed.wire.fragments import Gathering, unpack
from testbed.wire.jpeg import Shape
from testbed.wire.picture import restore
from testbed.wire.sealing import TO_BOARD, TO_HOST, Opener, Sealer

if TYPE_CHECKING:
    from collections.abc import Callable

_RECEIVE_BYTES = 1 << 20
_AGAIN_S = (0.0, 0.004, 0.016)


class FarConfig(Struct, frozen=True, kw_only=True):
    """What the process is told."""

    address: str
    clients: int
    options: CarrierOptions


class Lane:
    """One picture at a time: decoded for real, then busy for the service time."""

    def __init__(self, service_s: float) -> None:
        """Nothing to do."""
        self._service_s = service_s
        self._free = 0.0

    def work(self, gathering: Gathering, options: CarrierOptions, then: Callable[[], None]) -> None:
        """Decode and conceal now; ``then`` is called when the service time is over.

        Raises:
            RemoteWireError: it cannot be decoded.
        """
        restore(gathering.first.shape, gathering.segments, options.fill_index)
        loop = asyncio.get_running_loop()
        self._free = max(self._free, loop.time()) + self._service_s
        loop.call_at(self._free, then)


class FarClient(asyncio.DatagramProtocol):
    """What belongs to one client: a datagram socket and a stream, each under its own key.

    Attributes:
        records: its stream. ignored: contents that were not genuine or said what cannot be.
        congestion: control of the stream, as the kernel names it.
    """

    def __init__(self, lane: Lane, keys: tuple[bytes, bytes], options: CarrierOptions) -> None:
        """Nothing is open; keys are for datagrams and for the stream."""
        self._lane, self._options = lane, options
        datagrams, stream = (ChaCha20Poly1305(key) for key in keys)
        self._opener, self._sealer = Opener(datagrams, TO_BOARD), Sealer(datagrams, TO_HOST)
        self._stream = Sealer(stream, TO_HOST), Opener(stream, TO_BOARD)
        self.records = Records(*self._stream, self._hear_record, lambda: None)
        self._gatherings = Gatherings()
        self._coded = CodedGatherings(round(options.wait_ms * 1e6), round(options.gap_ms * 1e6))
        self._peer: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self.congestion = ""
        self.ignored = 0

    async def listen(self, address: str) -> tuple[int, int]:
        """Open both; their ports, of the stream and of datagrams.

        Raises:
            OSError: the address is not ours, or the kernel does not have the congestion control.
        """
        loop = asyncio.get_running_loop()
        listener = socket.create_server((address, 0))
        tune(listener, self._options.congestion)
        self.congestion = control_of(listener)
        self._server = await loop.create_server(self._accept, sock=listener)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        sock.bind((address, 0))
        await loop.create_datagram_endpoint(lambda: self, sock=sock)
        return listener.getsockname()[1], sock.getsockname()[1]

    def _accept(self) -> Records:
        """A connection; the newest that said something genuine is the client's."""

        def take(content: bytes) -> None:
            self.records = records
            self._hear_record(content)

        records = Records(*self._stream, take, lambda: None)
        return records

    def close(self) -> None:
        """Close both."""
        if self._timer is not None:
            self._timer.cancel()
        self._server.close()
        self.records.close()
        self._transport.close()

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as asyncio has it
        """Keep the datagram socket."""
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401 - as asyncio has it
        """Take what is genuine."""
        now = time.monotonic_ns()
        try:
            content = self._opener.open(data)
            self._peer = addr
            if content[:1] == bytes((PICTURE,)):
                fragment = unpack(content[1:])
                for one in self._gatherings.add(fragment, len(content), now).through:
                    self._answer_to(one.action, one.gathering)
            elif content[:1] == bytes((CODED,)):
                for restored in self._coded.add(read(content[1:]), now):
                    self._restored(restored.number, restored.data)
        except RemoteWireError:
            self.ignored += 1
        self._look_again()

    def _look_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dues = [due for due in (self._gatherings.due, self._coded.due) if due is not None]
        if dues:
            self._timer = asyncio.get_running_loop().call_at(min(dues) / 1e9, self._late)

    def _late(self) -> None:
        self._timer = None
        now = time.monotonic_ns()
        for one in self._gatherings.late(now):
            self._answer_to(one.action, one.gathering)
        for restored in self._coded.late(now):
            self._restored(restored.number, restored.data)
        self._look_again()

    def _hear_record(self, content: bytes) -> None:
        try:
            if content[:1] == bytes((HELLO,)):
                self.records.send(content)
            elif content[:1] == bytes((PICTURE,)):
                fragment = unpack(content[1:])
                self._answer_to(fragment.action, Gathering(fragment))
        except RemoteWireError:
            self.ignored += 1

    def _restored(self, number: int, data: bytes | None) -> None:
        if data is None:
            self._tell(Answer(number, AGAIN, 1.0))
        else:
            self._answer_to(number, Gathering(unpack(data)))

    def _answer_to(self, number: int, gathering: Gathering) -> None:
        lost_frac = gathering.lost_frac
        if lost_frac > self._options.most_lost:
            self._tell(Answer(number, AGAIN, lost_frac))
            return
        try:
            self._lane.work(gathering, self._options, lambda: self._tell(Answer(number, DONE, lost_frac)))
        except RemoteWireError:
            self.ignored += 1
            self._tell(Answer(number, AGAIN, lost_frac))

    def _tell(self, answer: Answer) -> None:
        content = encode_answer(answer)
        self.records.send(content)
        if self._peer is not None:
            for later in _AGAIN_S:
                asyncio.get_running_loop().call_later(later, self._put, content)

    def _put(self, content: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(self._sealer.seal(content), self._peer)


async def work(config: FarConfig) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    announce({"ready": True})
    keys = [bytes.fromhex(key) for key in json.loads(await reader.readline())["keys"]]
    restore(
        Shape(16, 16, 85, 0, 2), {}, config.options.fill_index
    )  # imports now what the first picture needs
    lane = Lane(config.options.service_ms / 1e3)
    clients = [FarClient(lane, (keys[2 * i], keys[2 * i + 1]), config.options) for i in range(config.clients)]
    ports = [await client.listen(config.address) for client in clients]
    announce({"ports": ports, "congestion": clients[0].congestion})
    await reader.read()
    announce({"ignored": sum(client.ignored for client in clients)})


def main() -> None:
    """Read the file and work."""
    config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=FarConfig)
    die_with_parent()
    sharpen_timers()
    take_priority()
    asyncio.run(work(config))


if __name__ == "__main__":
    main()
