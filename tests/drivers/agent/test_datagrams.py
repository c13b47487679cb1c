"""The real agent over real sockets on the loopback: what it takes, what it refuses, what it answers both ways."""

import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from drivers.agent import datagrams as module
from drivers.agent.datagrams import datagram_facts, session_address
from testbed.errors import RemoteWireError
from testbed.wire import messages as m
from testbed.wire.datagrams import ANSWER, HELLO, PICTURE, Answers, Order, encode_order
from testbed.wire.fragments import pack
from testbed.wire.picture import encode, fit, restore
from testbed.wire.sealing import TO_BOARD, TO_HOST, Opener, Sealer

IMAGE = (np.add.outer(np.arange(64), np.arange(64)) * 2 % 256).astype(np.uint8)[None]
ORDER = Order("echo", 0, (), 0, (1, 64, 64), 60_000, 5_000, 0, 0.5, 0)
SHAPE, SEGMENTS = encode(IMAGE, quality=90, interval=4)
LIMIT_S = 20.0


class Peer:
    """A host's end of the channel."""

    def __init__(self, host, address=""):
        self.host = host
        self.key = os.urandom(32)
        host.send(m.OpenDatagrams(11, self.key, address))
        self.open = host.expect(m.DatagramsOpen)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sealer = Sealer(ChaCha20Poly1305(self.key), TO_BOARD)
        self.opener = Opener(ChaCha20Poly1305(self.key), TO_HOST)
        self.answers = Answers()
        self.there = (self.open.address, self.open.port)

    def raw(self, datagram):
        self.socket.sendto(datagram, self.there)

    def send(self, content):
        datagram = self.sealer.seal(content)
        self.raw(datagram)
        return datagram

    def receive(self, kind, timeout=LIMIT_S):
        """The next content of a kind."""
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                content = self.opener.open(self.socket.recv(2048))
            except TimeoutError:
                break
            if content[0] == kind:
                return content
        pytest.fail(f"no datagram of kind {kind}")

    def answer(self, kind):
        while True:
            message = self.answers.take(self.receive(ANSWER))
            if isinstance(message, kind):
                return message

    def close(self):
        self.socket.close()


@pytest.fixture
def peer(start):
    host = start()
    host.greet()
    host.load()
    peer = Peer(host)
    yield peer
    peer.close()


def packets(action, order=ORDER):
    return [bytes((PICTURE,)) + c for c in pack(action, SHAPE, SEGMENTS, encode_order(order), limit=250)]


def test_a_picture_is_executed_once_and_answered_both_ways(peer):
    assert peer.there[0] == "127.0.0.1"
    for content in packets(1):
        peer.send(content)
        peer.send(content)  # a duplicate that is sealed anew
    accepted, done = peer.answer(m.Accepted), peer.answer(m.Done)
    assert accepted.action == 1
    wanted = fit(restore(SHAPE, dict(enumerate(SEGMENTS)), 0), (1, 64, 64))
    assert bytes(done.outputs[0].data) == wanted.tobytes()
    assert done.report["lost_frac"] == 0.0
    assert (done.report["packets"], done.report["packets_lost"]) == (len(packets(1)), 0)
    reliable = peer.host.expect(m.Done)
    assert (reliable.action, reliable.finished) == (1, done.finished)
    peer.host.nothing(m.Done)


def test_the_answer_comes_again_for_a_host_that_lost_the_first_copy(peer):
    for content in packets(1):
        peer.send(content)
    copies = {}
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until and (not copies or min(copies.values()) < 3):
        content = peer.receive(ANSWER)
        if len(content) > 100:
            copies[content] = copies.get(content, 0) + 1
    assert set(copies.values()) == {3}


def test_what_is_lost_is_filled_and_told(peer):
    parts = packets(1, ORDER._replace(fill=2))
    for content in parts[1:]:
        peer.send(content)
    done = peer.answer(m.Done)
    assert 0 < done.report["lost_frac"] < 0.5
    assert done.report["packets_lost"] == 1
    assert peer.host.expect(m.Done).report == done.report


def test_above_the_limit_nothing_is_executed_and_the_loss_is_told(peer):
    peer.send(packets(1, ORDER._replace(most_lost=0.1))[0])
    failed = peer.answer(m.Failed)
    assert (failed.of, failed.number, failed.code) == ("action", 1, "lost")
    assert failed.lost_frac > 0.1
    assert peer.host.expect(m.Failed).lost_frac == failed.lost_frac
    for content in packets(1, ORDER._replace(most_lost=0.1)):
        peer.send(content)  # too late
    for content in packets(2):
        peer.send(content)
    assert peer.answer(m.Done).action == 2


def test_forged_replayed_and_senseless_datagrams_change_nothing(peer):
    parts = packets(1)
    peer.raw(os.urandom(200))
    peer.raw(b"")
    other = Sealer(ChaCha20Poly1305(os.urandom(32)), TO_BOARD)
    for content in parts:
        peer.raw(other.seal(content))  # another key
    wrong_way = Sealer(ChaCha20Poly1305(peer.key), TO_HOST)
    peer.raw(wrong_way.seal(parts[0]))
    peer.send(b"")
    peer.send(b"\x09what")
    peer.send(bytes((PICTURE,)) + b"no fragment")
    first = peer.send(parts[0])
    for _ in range(3):
        peer.raw(first)  # the very same datagram
    for content in parts[1:]:
        peer.send(content)
    done = peer.answer(m.Done)
    assert (done.action, done.report["packets_lost"]) == (1, 0)
    peer.host.expect(m.Done)
    peer.host.nothing(m.Failed)


def test_another_key_closes_the_first_channel(peer):
    second = Peer(peer.host)
    assert second.open.ok
    for content in packets(1):
        peer.send(content)  # goes nowhere
    second.send(bytes((HELLO,)) + b"there?")
    assert second.receive(HELLO) == bytes((HELLO,)) + b"there?"
    for content in packets(2):
        second.send(content)
    assert second.answer(m.Done).action == 2
    second.close()
    peer.host.expect(m.Done, where=lambda d: d.action == 2)
    assert not [x for x in peer.host.inbox if isinstance(x, m.Done)]


def test_models_that_are_not_there_and_pictures_that_do_not_fit_are_told(peer):
    for action, order in ((1, ORDER._replace(model="none")), (2, ORDER._replace(shape=(3, 64, 64)))):
        for content in packets(action, order):
            peer.send(content)
    told = {peer.host.expect(m.Failed).number: 1 for _ in range(2)}
    assert set(told) == {1, 2}


def test_a_cancel_that_came_first_counts(peer):
    peer.host.send(m.Cancel(1, ()))
    peer.host.taken()
    for content in packets(1):
        peer.send(content)
    assert peer.answer(m.Cancelled).stage == m.BEFORE_START
    assert peer.host.expect(m.Cancelled).action == 1


def test_an_order_that_cannot_start_in_time_is_not_started(peer):
    parts = packets(1, ORDER._replace(start_us=1))
    for content in parts:
        peer.send(content)
    assert peer.answer(m.Failed).code == "window"


def test_no_channel_on_an_address_that_is_not_the_boards(peer):
    peer.host.send(m.OpenDatagrams(12, os.urandom(32), "192.0.2.1"))
    told = peer.host.expect(m.DatagramsOpen)
    assert (told.request, told.ok) == (12, False)
    assert "cannot listen there" in told.text
    peer.host.send(m.OpenDatagrams(13, b"short", ""))
    assert "32 bytes" in peer.host.expect(m.DatagramsOpen).text


def test_a_board_without_the_packages_says_which(start, tmp_path):
    """The agent's own Python, but with a Pillow that cannot be imported; and the facts where it is not installed."""
    broken = tmp_path / "broken"
    (broken / "PIL").mkdir(parents=True)
    (broken / "PIL" / "__init__.py").write_text("raise ImportError('no Pillow here')")
    host = start(env={**os.environ, "PYTHONPATH": str(broken)})
    host.greet()
    host.load()
    host.send(m.OpenDatagrams(1, os.urandom(32), ""))
    told = host.expect(m.DatagramsOpen)
    assert not told.ok
    assert "no Pillow here" in told.text


def test_facts_name_what_is_missing(monkeypatch):
    assert datagram_facts() == {"available": True}
    monkeypatch.setitem(module._NEEDS, "no_such_module", "No-Such-Package")
    assert datagram_facts() == {"available": False, "reason": "not installed: No-Such-Package"}


def test_the_socket_stands_where_the_session_came_to(monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.7 50022 192.0.2.9 22")
    assert session_address() == "192.0.2.9"
    monkeypatch.setenv("SSH_CONNECTION", "")
    assert session_address() == "127.0.0.1"


def test_an_opener_is_not_fooled_by_an_answer_sent_back(peer):
    peer.send(bytes((HELLO,)))
    content = peer.receive(HELLO)
    with pytest.raises(RemoteWireError):
        peer.opener.open(Sealer(ChaCha20Poly1305(peer.key), TO_BOARD).seal(content))


def test_the_module_imports_nothing_that_a_board_may_lack():
    text = Path(module.__file__).read_text()
    head = text[: text.index("def datagram_facts")]
    assert not any(f"import {name}" in head for name in ("numpy", "PIL", "cryptography"))
