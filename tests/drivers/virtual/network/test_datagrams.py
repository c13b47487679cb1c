"""The relay by itself, then whole lossy requests to a virtual Jetson through it, and through a packet-level network."""

from __future__ import annotations

import asyncio

import pytest

from drivers.virtual.boards import virtual_jetson
from drivers.virtual.network.datagrams import DatagramRelay
from drivers.virtual.network.options import NetworkOptions, WayOptions
from drivers.virtual.network.tun import why_not
from testbed.campaign.data import TaskData
from testbed.errors import ConfigError
from testbed.model import event as ev
from testbed.model.action import Infer, Item, Load, Transport
from testbed.model.execution import NO_DATAGRAMS
from testbed.model.losses import LossOptions
from testbed.wire.datagrams import Order, encode_order
from testbed.wire.fragments import pack
from testbed.wire.picture import encode
from testbed.wire.sealing import OVERHEAD_BYTES

needs_root = pytest.mark.skipif(bool(why_not()), reason=f"no TUN devices here: {why_not()}")
LIMIT_S = 30.0
LOSSY = {"units": 1, "packet_bytes": 192, "fill": "nearest", "wait_ms": 40, "most_lost": 0.4}
BURSTS = {"to_bad": 0.05, "to_good": 0.4}


class Catcher(asyncio.DatagramProtocol):
    def __init__(self):
        self.got = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.got.put_nowait((data, addr))


async def catcher(**where):
    _, found = await asyncio.get_running_loop().create_datagram_endpoint(Catcher, **where)
    return found


async def through(tmp_path, seed, **up):
    """Which of 200 datagrams come out, and how long the first answer took."""
    options = NetworkOptions(up=WayOptions(**up), down=WayOptions(delay_ms=5))
    relay = DatagramRelay(options, seed, tmp_path)
    board = await catcher(local_addr=("127.0.0.1", 0))
    where = await relay.between(*board.transport.get_extra_info("sockname"))
    host = await catcher(remote_addr=where)
    try:
        for number in range(200):
            host.transport.sendto(bytes((number,)) * 50)
            if number % 20 == 19:
                await asyncio.sleep(0)
        until = asyncio.get_running_loop().time() + LIMIT_S
        want = None
        while relay.ways["up"].entered < 200 or want is None or board.got.qsize() < want:
            assert asyncio.get_running_loop().time() < until
            want = 200 - relay.ways["up"].lost
            await asyncio.sleep(0.01)
        came = [board.got.get_nowait() for _ in range(want)]
        board.transport.sendto(b"back", came[0][1])
        data, _ = await asyncio.wait_for(host.got.get(), LIMIT_S)
        assert data == b"back"
        return [data[0] for data, _ in came]
    finally:
        relay.close()
        board.transport.close()
        host.transport.close()


async def test_the_relay_drops_by_its_seed_and_keeps_the_order(tmp_path):
    loss = LossOptions(frac=0.2)
    first = await through(tmp_path, "a", loss=loss, delay_ms=5)
    assert 120 < len(first) < 195
    assert first == sorted(first)
    assert await through(tmp_path, "a", loss=loss) == first
    assert await through(tmp_path, "b", loss=loss) != first
    assert await through(tmp_path, "a") == list(range(200))


async def test_a_missing_trace_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.csv"):
        DatagramRelay(NetworkOptions(up=WayOptions(trace="none.csv")), "s", tmp_path)


@pytest.fixture(scope="module")
def images():
    return TaskData("image-classification/fashion-mnist").images


class Talk:
    """An open board, orders one after another, and what became of each."""

    def __init__(self, board):
        self.board = board
        self.events = asyncio.Queue()
        self.loss_fracs = []
        self.number = 0
        self.order_bytes = len(encode_order(Order("quick", 0, (), 0, (1, 28, 28), 0, 0, 0, 0.0, 0)))

    async def __aenter__(self):
        self.facts = await self.board.open(self.events.put_nowait)
        self.number += 1
        self.board.send(Load(id=self.number, board="board", model="quick"))
        assert isinstance(await self.end(), ev.Loaded)
        await self.board.probe(2)
        return self

    async def __aexit__(self, *exc):
        await self.board.close()

    async def end(self):
        while True:
            event = await asyncio.wait_for(self.events.get(), LIMIT_S)
            if isinstance(event, ev.NetworkSeen):
                self.loss_fracs.append(event.loss_frac)
            if isinstance(event, (ev.Executed, ev.Failed, ev.Loaded, ev.Cancelled)):
                return event

    def order(self, image, transport=Transport.LOSSY):
        self.number += 1
        order = Infer(
            id=self.number, board="board", model="quick", batch=(Item(request=1),), transport=transport
        )
        self.board.send(order, image[None], (0,))
        return self.number

    async def ask(self, image, transport=Transport.LOSSY):
        number = self.order(image, transport)
        end = await self.end()
        assert end.action == number
        return end


async def test_without_loss_a_lossy_answer_is_that_of_the_reliable_path(make_spec, images):
    async with Talk(virtual_jetson(make_spec("virtual-jetson", lossy=LOSSY))) as talk:
        assert talk.facts.facts["lossy_orders"] == "taken"
        assert "datagrams" in talk.facts.facts["capabilities"]
        same = 0
        for image in images[:12]:
            lossy, reliable = await talk.ask(image), await talk.ask(image, Transport.RELIABLE)
            first, second = lossy.execution.items[0], reliable.execution.items[0]
            assert (first.lost_frac, second.lost_frac) == (0.0, 0.0)
            assert lossy.execution.notes["packets_lost"] == 0
            same += first.label == second.label
        assert same >= 10  # but for what JPEG does to a picture


@pytest.mark.parametrize("backend", [pytest.param("tun", marks=needs_root), "relay"])
@pytest.mark.parametrize("loss", [{"frac": 0.1}, BURSTS], ids=["independent", "bursts"])
async def test_through_losses_every_order_ends_once_and_says_what_it_lost(make_spec, images, backend, loss):
    way = {"delay_ms": 3.0, "loss": loss}
    network = {"up": way, "down": way, "backend": backend}
    async with Talk(virtual_jetson(make_spec("virtual-jetson", lossy=LOSSY, network=network))) as talk:
        assert talk.facts.facts["network"].startswith(backend)
        if talk.facts.facts["lossy_orders"] != "taken":
            pytest.fail(talk.facts.facts["lossy_orders"])
        ends = [await talk.ask(image) for image in images[:40]]
        done = [end for end in ends if isinstance(end, ev.Executed)]
        lost = [end.execution.items[0].lost_frac for end in done]
        assert len(done) >= 20
        assert any(lost)
        assert max(lost) <= 0.4
        for end in ends:
            if isinstance(end, ev.Failed):
                assert end.lost_frac > 0.4
        assert any(frac > 0 for frac in talk.loss_fracs)
        assert talk.events.empty() or not isinstance(talk.events.get_nowait(), (ev.Executed, ev.Failed))


async def test_nothing_on_the_way_can_be_read_and_nothing_is_sent_twice(make_spec, images):
    network = {"up": {"loss": {"frac": 0.2}}, "backend": "relay"}
    board = virtual_jetson(make_spec("virtual-jetson", lossy=LOSSY, network=network))
    async with Talk(board) as talk:
        relay, seen = board._parts.between.__self__, {"up": [], "down": []}
        take = relay.take
        relay.take = lambda name, data, source: (seen[name].append(bytes(data)), take(name, data, source))
        ends = [await talk.ask(images[0]) for _ in range(20)]
    shape, segments = encode(images[0], quality=85, interval=LOSSY["units"])
    packets = pack(0, shape, segments, bytes(talk.order_bytes), LOSSY["packet_bytes"])
    done = [end.execution.notes for end in ends if isinstance(end, ev.Executed)]
    assert {notes["packets"] for notes in done} == {len(packets)}
    assert any(notes["packets_lost"] for notes in done)
    # Every packet of every order once, whatever was lost of it; the same picture never looks the same.
    assert len(seen["up"]) == len(ends) * len(packets)
    assert len({data[8:] for data in seen["up"]}) == len(seen["up"])
    every = b"".join(seen["up"] + seen["down"])
    assert seen["down"]
    assert not any(segment in every for segment in segments if len(segment) >= 6)
    assert all(word not in every for word in (b"quick", b"packets_lost", b"lost_frac"))
    assert max(map(len, seen["up"])) <= LOSSY["packet_bytes"] + 1 + OVERHEAD_BYTES


async def test_the_mask_of_lost_rows_comes_back_with_the_answer(make_spec, images):
    table = {**LOSSY, "units": 0, "packet_bytes": 400, "most_lost": 0.8}
    network = {"up": {"loss": {"frac": 0.3}}, "backend": "relay"}
    async with Talk(virtual_jetson(make_spec("virtual-jetson", lossy=table, network=network))) as talk:
        ends = [await talk.ask(images[0]) for _ in range(20)]
    items = [end.execution.items[0] for end in ends if isinstance(end, ev.Executed)]
    assert any(item.lost_rows for item in items)
    for item in items:  # a segment is a row of blocks, of which the last is half outside
        assert len({row // 8 for row in item.lost_rows}) / 4 == item.lost_frac


async def test_a_board_that_dies_in_the_middle_fails_what_it_was_sent(make_spec, images):
    slow = {**LOSSY, "pace_mbit": 0.02, "wait_ms": 5000, "silence_ms": 60_000}
    async with Talk(virtual_jetson(make_spec("virtual-jetson", lossy=slow, silence_ms=1500))) as talk:
        number = talk.order(images[0])
        await talk.board.faults.kill_agent()
        end = await talk.end()
        assert (type(end), end.action) == (ev.Failed, number)
        while True:
            event = await asyncio.wait_for(talk.events.get(), LIMIT_S)
            if isinstance(event, ev.BoardUp):
                break
        end = await talk.ask(images[1], Transport.RELIABLE)
        assert isinstance(end, ev.Executed)
        assert isinstance(await talk.ask(images[1]), ev.Executed)  # a new session has a new channel


async def test_a_board_whose_table_has_no_lossy_refuses(make_spec, images):
    async with Talk(virtual_jetson(make_spec("virtual-jetson"))) as talk:
        end = await talk.ask(images[0])
        assert isinstance(end, ev.Failed)
        assert end.error.startswith(NO_DATAGRAMS)
        assert end.lost_frac == 0.0


async def test_an_order_of_which_nothing_arrives_fails_soon_and_the_next_one_goes(make_spec, images):
    table = {**LOSSY, "silence_ms": 50}
    board = virtual_jetson(make_spec("virtual-jetson", lossy=table, network={"backend": "relay"}))
    async with Talk(board) as talk:
        assert isinstance(await talk.ask(images[0]), ev.Executed)
        relay = board._parts.between.__self__
        relay.ways["up"]._loss.strikes = lambda: True
        end = await talk.ask(images[1])
        assert (type(end), end.lost_frac) == (ev.Failed, 1.0)
        relay.ways["up"]._loss.strikes = lambda: False
        assert isinstance(await talk.ask(images[2]), ev.Executed)


async def test_doctor_looks_at_the_channel(make_spec):
    board = virtual_jetson(make_spec("virtual-jetson", lossy=LOSSY))
    results = {r.step: r async for r in board.checks()}
    assert results["datagrams"].state == "ok"
    assert {r.state for r in results.values()} <= {"ok", "skipped"}
