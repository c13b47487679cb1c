import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire.sealing import KEY_BYTES, OVERHEAD_BYTES, TO_BOARD, TO_HOST, WINDOW, Opener, Sealer

KEY = bytes(range(KEY_BYTES))


def pair(kind=AESGCM, direction=TO_BOARD):
    return Sealer(kind(KEY), direction), Opener(kind(KEY), direction)


@pytest.mark.parametrize("kind", [AESGCM, ChaCha20Poly1305])
def test_what_is_sealed_is_opened_once(kind) -> None:
    sealer, opener = pair(kind)
    datagram = sealer.seal(b"picture")
    assert b"picture" not in datagram
    assert len(datagram) == len(b"picture") + OVERHEAD_BYTES
    assert opener.open(datagram) == b"picture"
    with pytest.raises(RemoteWireError, match="again"):
        opener.open(datagram)
    assert opener.refused == 1


def test_equal_contents_look_different() -> None:
    sealer, _ = pair()
    assert sealer.seal(b"same")[8:] != sealer.seal(b"same")[8:]


@given(st.permutations(range(30)))
def test_any_order_is_fine(order) -> None:
    sealer, opener = pair()
    datagrams = [sealer.seal(bytes([i])) for i in range(30)]
    assert [opener.open(datagrams[i]) for i in order] == [bytes([i]) for i in order]


@given(st.integers(0, 40), st.integers(1, 255))
def test_a_changed_byte_is_noticed_and_moves_nothing(at, change) -> None:
    sealer, opener = pair()
    datagram = bytearray(sealer.seal(b"some content of a packet"))
    datagram[at % len(datagram)] ^= change
    with pytest.raises(RemoteWireError):
        opener.open(bytes(datagram))
    assert opener.open(sealer.seal(b"next")) == b"next"
    assert opener.refused == 1


def test_old_ones_are_refused_whether_seen_or_not() -> None:
    sealer, opener = pair()
    datagrams = [sealer.seal(b"x") for _ in range(WINDOW + 2)]
    opener.open(datagrams[-1])
    with pytest.raises(RemoteWireError, match="too old"):
        opener.open(datagrams[1])
    assert opener.open(datagrams[2]) == b"x"


def test_a_jump_beyond_the_window_forgets_everything_before() -> None:
    sealer, opener = pair()
    opener.open(sealer.seal(b"x"))
    sealer._next = 10 * WINDOW
    opener.open(sealer.seal(b"y"))
    sealer._next = 10 * WINDOW - 5
    assert opener.open(sealer.seal(b"z")) == b"z"


def test_another_key_or_the_other_direction_opens_nothing() -> None:
    sealer, _ = pair()
    datagram = sealer.seal(b"x")
    for opener in (Opener(AESGCM(KEY), TO_HOST), Opener(AESGCM(bytes(KEY_BYTES)), TO_BOARD)):
        with pytest.raises(RemoteWireError, match="genuine"):
            opener.open(datagram)


@given(st.binary(max_size=60))
def test_nonsense_is_refused(datagram) -> None:
    _, opener = pair()
    with pytest.raises(RemoteWireError):
        opener.open(datagram)


def test_a_counter_is_never_used_twice() -> None:
    sealer, _ = pair()
    sealer._next = 1 << 63
    with pytest.raises(LocalWireError):
        sealer.seal(b"x")
