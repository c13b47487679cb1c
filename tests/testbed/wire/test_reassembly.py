import pytest

from testbed.errors import RemoteWireError
from testbed.wire.reassembly import Reassembly


def test_interleaved_messages_are_put_together():
    parts = Reassembly(100)
    assert parts.add(0, 0, False, b"a") is None
    assert parts.add(1, 0, False, b"x") is None
    assert parts.add(0, 1, True, b"b") == b"ab"
    assert parts.add(1, 1, True, b"y") == b"xy"
    assert parts.held_bytes == 0


def test_repetitions_are_ignored_whenever_they_come():
    parts = Reassembly(100)
    parts.add(0, 0, False, b"a")
    assert parts.add(0, 0, False, b"a") is None
    assert parts.add(0, 1, True, b"b") == b"ab"
    assert parts.add(0, 1, True, b"b") is None
    assert parts.add(0, 0, False, b"a") is None
    for number in range(1, 3000):
        parts.add(number, 0, True, b"z")
    assert parts.add(0, 0, True, b"a") is None
    assert parts.repeated == 4
    assert parts.lost == 0


def test_a_gap_loses_its_message_only():
    parts = Reassembly(100)
    parts.add(0, 0, False, b"a")
    parts.add(1, 0, False, b"x")
    assert parts.add(0, 2, True, b"c") is None
    assert parts.add(1, 1, True, b"y") == b"xy"
    assert parts.add(5, 3, False, b"?") is None
    assert parts.lost == 2
    assert parts.held_bytes == 0


def test_memory_is_bounded_in_count_and_bytes():
    parts = Reassembly(1000)
    for number in range(100):
        parts.add(number, 0, False, bytes(10))
    assert parts.lost == 100 - 32
    for number in range(100, 110):
        parts.add(number, 0, False, bytes(900))
        assert parts.held_bytes <= 2000


def test_a_message_that_grows_too_large_is_their_fault():
    parts = Reassembly(10)
    parts.add(0, 0, False, bytes(8))
    with pytest.raises(RemoteWireError):
        parts.add(0, 1, False, bytes(8))
    assert parts.held_bytes == 0
    assert parts.add(1, 0, True, b"next") == b"next"
