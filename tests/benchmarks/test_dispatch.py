"""The pure parts of the dispatch benchmark, and its yardstick against a real sshd where one is installed."""

from __future__ import annotations

import random
import zlib

import pytest

from benchmarks.peers.echo import AsyncioEcho, EchoProtocol
from benchmarks.peers.far import HEAD
from benchmarks.peers.hops import HOPS, STAMPS, spans
from benchmarks.peers.sshd import NoSshdError, running_sshd


def frame(payload):
    return HEAD.pack(len(payload), zlib.crc32(payload)) + payload


async def test_frames_are_found_under_any_split():
    rng = random.Random(1)
    payloads = [rng.randbytes(rng.randrange(0, 300)) for _ in range(50)]
    line = b"".join(map(frame, payloads))
    protocol, got = EchoProtocol(), []
    protocol.on_payload = got.append
    while line:
        size = rng.randrange(1, 200)
        protocol.pipe_data_received(1, line[:size])
        line = line[size:]
    assert got == payloads


async def test_a_damaged_frame_is_noticed():
    damaged = bytearray(frame(b"payload"))
    damaged[-1] ^= 1
    with pytest.raises(RuntimeError, match="damaged"):
        EchoProtocol().pipe_data_received(1, bytes(damaged))


def test_the_hops_of_a_request_add_up_to_the_whole():
    rng = random.Random(1)
    stamps = sorted(rng.randrange(10**6) for _ in range(STAMPS))
    found = spans(stamps)
    assert list(found) == list(HOPS)
    assert sum(found.values()) == stamps[-1] - stamps[0]
    with pytest.raises(ValueError, match="ends"):
        spans(stamps[1:])


async def test_the_yardstick_goes_over_a_real_sshd(tmp_path):
    try:
        with running_sshd(tmp_path) as login:
            peer = AsyncioEcho(login)
            await peer.open()
            try:
                assert len(await peer.block(b"x" * 150_000, 3)) == 3
                assert await peer.pipelined(b"x" * 3000, 20, 8) > 0
            finally:
                await peer.close()
    except NoSshdError as error:
        pytest.skip(str(error))
