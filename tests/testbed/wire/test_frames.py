import itertools
import os
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import LocalWireError
from testbed.wire.frames import (
    FLAG_FROM_AGENT,
    FLAG_LAST,
    FLAG_SHORT,
    HEADER_BYTES,
    MAGIC,
    OVERHEAD_BYTES,
    SHORT_MAGIC,
    FrameDecoder,
    encode_frame,
    encode_short,
)

PAYLOADS = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=12)
GARBAGE = st.one_of(st.binary(max_size=60), st.sampled_from([MAGIC, MAGIC[:1], MAGIC * 3, SHORT_MAGIC * 3]))


def split(data, cuts):
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def encode_all(payloads):
    return [encode_frame(p, message=i, chunk=i, tag=7) for i, p in enumerate(payloads)]


def test_golden_bytes_of_a_short_frame():
    frame = encode_short(b"\x02\x01\x00", flags=FLAG_FROM_AGENT | FLAG_LAST, tag=0x1234)
    assert frame[:-4] == bytes.fromhex("a5c3 83 3412 020100")
    assert frame[-4:] == zlib.crc32(frame[2:-4]).to_bytes(4, "little")


@given(
    st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=12), st.lists(st.integers(0, 10_000))
)
def test_short_frames_and_whole_ones_come_apart_again(payloads, cuts):
    line = b"".join(encode_short(p, tag=9) if len(p) <= 15 else encode_frame(p, tag=9) for p in payloads)
    decoder = FrameDecoder()
    frames = [frame for part in split(line, cuts) for frame in decoder.feed(part)]
    assert [(f.payload, f.tag, bool(f.flags & FLAG_SHORT)) for f in frames] == [
        (p, 9, len(p) <= 15) for p in payloads
    ]
    assert decoder.discarded_bytes == decoder.crc_failures == decoder.pending_bytes == 0


@given(st.binary(min_size=1, max_size=15), st.integers(0, 23), st.integers(1, 255))
def test_a_damaged_short_frame_is_lost_alone(payload, where, change):
    damaged = bytearray(encode_short(payload))
    damaged[where % len(damaged)] ^= change
    good = [encode_short(b"one"), encode_short(b"two", flags=FLAG_FROM_AGENT), encode_frame(b"three")]
    decoder = FrameDecoder()
    frames = decoder.feed(bytes(damaged) + b"".join(good)) + decoder.resync()
    assert [f.payload for f in frames] == [b"one", b"two", b"three"]
    assert frames[1].flags & FLAG_FROM_AGENT


@pytest.mark.parametrize("payload", [b"", bytes(16)])
def test_a_short_frame_has_1_to_15_bytes(payload):
    with pytest.raises(LocalWireError):
        encode_short(payload)


@given(PAYLOADS, st.lists(st.integers(0, 10_000)))
def test_any_split_gives_every_frame(payloads, cuts):
    decoder = FrameDecoder()
    frames = [frame for part in split(b"".join(encode_all(payloads)), cuts) for frame in decoder.feed(part)]
    assert [f.payload for f in frames] == payloads
    assert [(f.message, f.chunk, f.tag) for f in frames] == [(i, i, 7) for i in range(len(payloads))]
    assert decoder.discarded_bytes == decoder.crc_failures == decoder.pending_bytes == 0


@given(PAYLOADS, st.data(), st.lists(st.integers(0, 10_000)))
def test_garbage_between_frames_costs_nothing(payloads, data, cuts):
    line = b"".join(data.draw(GARBAGE) + frame for frame in encode_all(payloads))
    decoder = FrameDecoder()
    frames = [frame for part in split(line, cuts) for frame in decoder.feed(part)]
    frames += decoder.resync()
    assert [f.payload for f in frames] == payloads
    assert decoder.discarded_bytes == len(line) - sum(map(len, encode_all(payloads)))


@given(PAYLOADS, st.data())
def test_damage_loses_only_what_it_hits(payloads, data):
    encoded = encode_all(payloads)
    hit = data.draw(st.integers(0, len(encoded) - 1))
    where = data.draw(st.integers(0, len(encoded[hit]) - 1))
    damaged = bytearray(encoded[hit])
    if data.draw(st.booleans()):
        damaged[where] ^= data.draw(st.integers(1, 255))
    else:
        del damaged[where : where + data.draw(st.integers(1, 40))]
    decoder = FrameDecoder()
    frames = decoder.feed(b"".join([*encoded[:hit], bytes(damaged), *encoded[hit + 1 :]]))
    frames += decoder.resync()
    assert [f.payload for f in frames] == payloads[:hit] + payloads[hit + 1 :]


@given(st.binary(max_size=2000))
def test_memory_is_bounded_and_nothing_raises(noise):
    decoder = FrameDecoder(max_payload_bytes=100)
    for _ in range(5):
        decoder.feed(noise)
        assert decoder.pending_bytes <= 100 + OVERHEAD_BYTES


def test_a_false_header_gives_back_the_frames_it_covered():
    covering = encode_frame(bytes(2000))[:HEADER_BYTES]
    inside = encode_all([b"one", b"two"])
    decoder = FrameDecoder()
    assert decoder.feed(covering + b"".join(inside)) == []
    assert [f.payload for f in decoder.feed(bytes(2000))] == [b"one", b"two"]
    assert decoder.crc_failures == 1


def test_resync_keeps_a_slow_frame_and_counts_nothing():
    data = encode_frame(os.urandom(500))
    decoder = FrameDecoder()
    decoder.feed(data[:300])
    assert decoder.resync() == []
    assert (decoder.discarded_bytes, decoder.header_failures, decoder.crc_failures) == (0, 0, 0)
    assert len(decoder.feed(data[300:])) == 1


def test_random_payloads_full_of_magic_survive_small_reads():
    rng = random.Random(1)
    payloads = [bytes(rng.choices((0xA5, 0x5A, 0), k=500)) for _ in range(50)]
    data = b"".join(encode_all(payloads))
    decoder = FrameDecoder()
    frames = [frame for i in range(0, len(data), 3) for frame in decoder.feed(data[i : i + 3])]
    assert [f.payload for f in frames] == payloads


@pytest.mark.parametrize(
    "kwargs",
    [{"payload": b""}, {"payload": bytes(65536)}, {"tag": -1}, {"message": 1 << 32}, {"flags": 0x40}],
)
def test_impossible_frames_are_refused(kwargs):
    with pytest.raises(LocalWireError):
        encode_frame(**{"payload": b"x", **kwargs})
