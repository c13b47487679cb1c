"""The host's end against a board of a few lines on a real UDP socket."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from drivers.session.datagrams import Datagrams
from drivers.session.ledger import Flight
from drivers.session.lossy import Encoder
from testbed.errors import BoardError
from testbed.model.action import Infer, Item
from testbed.model.datagrams import LossyOptions
from testbed.wire import Tensor
from testbed.wire import messages as m
from testbed.wire.datagrams import HELLO, PICTURE, answers
from testbed.wire.fragments import unpack
from testbed.wire.sealing import TO_BOARD, TO_HOST, Opener, Sealer

LIMIT_S = 20.0
OPTIONS = LossyOptions(units=1, packet_bytes=192, silence_ms=30.0)
IMAGE = (np.arange(28 * 28) % 251).astype(np.uint8).reshape(1, 1, 28, 28)


class Fates:
    def __init__(self):
        self.settled = set()
        self.told = asyncio.Queue()
        self.losses = []

    def stands(self, flight):
        return flight.number not in self.settled

    def left(self, flight):
        self.told.put_nowait(("left", flight.number))

    def fail(self, flight, why):
        self.told.put_nowait(("fail", why))

    def unheard(self, flight):
        self.told.put_nowait(("unheard", flight.number))

    def hear(self, message):
        self.told.put_nowait(message)

    def lost(self, frac):
        self.losses.append(frac)

    async def next(self):
        return await asyncio.wait_for(self.told.get(), LIMIT_S)


class Board(asyncio.DatagramProtocol):
    """Answers greetings unless it is deaf, and keeps the packets it gets."""

    def __init__(self):
        self.deaf = False
        self.packets = asyncio.Queue()
        self.times = []

    def connection_made(self, transport):
        self.transport = transport

    async def reply(self, make, limit):
        message = make(5)
        self.opener = Opener(ChaCha20Poly1305(message.key), TO_BOARD)
        self.sealer = Sealer(ChaCha20Poly1305(message.key), TO_HOST)
        host, port = self.transport.get_extra_info("sockname")
        return m.DatagramsOpen(message.request, True, host, port, "")

    def datagram_received(self, data, addr):
        content = self.opener.open(data)
        self.peer = addr
        if content[0] == HELLO and not self.deaf:
            self.give(content)
        elif content[0] == PICTURE:
            self.times.append(asyncio.get_running_loop().time())
            self.packets.put_nowait(unpack(content[1:]))

    def give(self, content):
        self.transport.sendto(self.sealer.seal(content), self.peer)


@pytest.fixture
async def board():
    loop = asyncio.get_running_loop()
    transport, board = await loop.create_datagram_endpoint(Board, local_addr=("127.0.0.1", 0))
    yield board
    transport.close()


@pytest.fixture
def make(request):
    made = []

    def make_one(options=OPTIONS, between=None):
        fates = Fates()
        made.append(Datagrams(options, Encoder(options), fates, lambda: 0, between))
        return made[-1], fates

    yield make_one
    for channel in made:
        channel.close()


def flight(number=1, image=IMAGE):
    found = Flight(Infer(id=1, board="b", model="m", batch=(Item(request=1),)), image, (4,))
    found.number = number
    return found


def done(number, lost=0):
    output = Tensor("float32", (1, 2), bytes(8))
    return m.Done(number, 1, 2, 3, (0,), (output,), {"packets": 10, "packets_lost": lost})


async def test_an_order_goes_out_in_packets_and_its_answer_is_heard(board, make):
    channel, fates = make()
    assert channel.why_not == "it is not open"
    await channel.open(board.reply)
    assert channel.why_not == ""
    for number in (1, 2):  # encoded by a thread; then from what was kept, at once
        channel.send(flight(number))
        if number == 2:
            assert fates.told.get_nowait() == ("left", 2)
        else:
            assert await fates.next() == ("left", 1)
        first = await asyncio.wait_for(board.packets.get(), LIMIT_S)
        for _ in range(first.packets - 1):
            assert (await asyncio.wait_for(board.packets.get(), LIMIT_S)).action == number
        assert await fates.next() == ("unheard", number)
    for content in answers(1, done(1, lost=2)):
        board.give(content)
        board.give(content)
    assert await fates.next() == done(1, lost=2)
    channel.saw(done(1, lost=2))
    channel.saw(m.Failed("action", 1, "lost", "", "", 0.5))
    channel.saw(m.Failed("action", 1, "runtime", "", ""))
    assert fates.losses == [0.2, 0.5]


async def test_packets_are_paced(board, make):
    channel, fates = make(LossyOptions(units=1, packet_bytes=192, pace_mbit=0.1))
    await channel.open(board.reply)
    channel.send(flight())
    await fates.next()
    first = await asyncio.wait_for(board.packets.get(), LIMIT_S)
    for _ in range(first.packets - 1):
        await asyncio.wait_for(board.packets.get(), LIMIT_S)
    assert first.packets >= 4
    per_packet = 100 * 8 / 0.1e6  # at least 100 bytes each; timers are never early by more than the allowance
    assert board.times[-1] - board.times[0] >= (first.packets - 1) * per_packet - 0.001


async def test_what_has_settled_is_not_sent_any_more(board, make):
    channel, fates = make(LossyOptions(units=1, packet_bytes=192, pace_mbit=0.05))
    await channel.open(board.reply)
    channel.send(flight())
    await fates.next()
    fates.settled.add(1)
    channel.send(flight(2, IMAGE.copy()))
    first = await asyncio.wait_for(board.packets.get(), LIMIT_S)
    assert first.action == 1
    assert await fates.next() == ("left", 2)
    assert (await asyncio.wait_for(board.packets.get(), LIMIT_S)).action == 2


async def test_forged_datagrams_are_ignored(board, make):
    channel, fates = make()
    await channel.open(board.reply)
    stranger = Sealer(ChaCha20Poly1305(bytes(32)), TO_HOST)
    content = answers(1, done(1))[0]
    board.transport.sendto(stranger.seal(content), board.peer)
    board.transport.sendto(b"", board.peer)
    board.give(b"\x07")
    board.give(content[:3])
    genuine = board.sealer.seal(content)
    for _ in range(3):
        board.transport.sendto(genuine, board.peer)
    board.give(answers(2, done(2))[0])
    assert [(await fates.next()).action for _ in range(2)] == [1, 2]
    assert channel.ignored >= 5
    assert fates.told.empty()


@pytest.mark.parametrize("why", ["deaf", "refuses", "silent", "nowhere"])
async def test_why_there_is_no_channel(board, make, monkeypatch, why):
    monkeypatch.setattr("drivers.session.datagrams._HELLO_S", 0.01)

    async def ask(make, limit):
        if why == "refuses":
            return m.DatagramsOpen(make(5).request, False, "", 0, "not installed: Pillow")
        if why == "silent":
            raise BoardError("no answer within 10 s", board="b")
        return await board.reply(make, limit)

    async def nowhere(host, port):
        raise OSError("no relay")

    board.deaf = why == "deaf"
    channel, _ = make(between=nowhere if why == "nowhere" else None)
    await channel.open(ask)
    said = {"deaf": "firewall", "refuses": "Pillow", "silent": "no answer", "nowhere": "no relay"}[why]
    assert said in channel.why_not


async def test_what_cannot_be_encoded_or_packed_fails_with_the_reason(board, make):
    channel, fates = make()
    await channel.open(board.reply)
    channel.send(flight(1, np.zeros((1, 5), np.uint8)))
    assert "no picture" in (await fates.next())[1]
    noise = np.random.default_rng(1).integers(0, 255, (1, 1, 64, 64), np.uint8)
    large, told = make(LossyOptions(packet_bytes=128))
    await large.open(board.reply)
    large.send(flight(2, noise))
    assert "restart markers" in (await told.next())[1]


async def test_a_closed_channel_says_why(board, make):
    channel, _ = make()
    await channel.open(board.reply)
    channel.close("the board was closed")
    assert channel.why_not == "the board was closed"
    channel.error_received(OSError("refused"))
    assert channel.ignored == 1
