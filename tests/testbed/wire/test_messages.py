import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire import messages as m
from testbed.wire.codec import Tensor

TENSORS = st.binary(max_size=40).map(lambda data: Tensor("uint8", (1, len(data)), data))
KINDS = {
    "u8": st.integers(0, 0xFF),
    "u16": st.integers(0, 0xFFFF),
    "u32": st.integers(0, 0xFFFFFFFF),
    "u64": st.integers(0, 2**64 - 1),
    "i64": st.integers(-(2**63), 2**63 - 1),
    "f64": st.floats(0, 1),
    "bool": st.booleans(),
    "str": st.text(max_size=20),
    "bytes": st.binary(max_size=60),
    "json": st.dictionaries(
        st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.booleans())
    ),
    "tensor": TENSORS,
    "tensor[]": st.lists(TENSORS, max_size=3).map(tuple),
    "str[]": st.lists(st.text(max_size=9), max_size=3).map(tuple),
    "u8[]": st.lists(st.integers(0, 255), max_size=9).map(tuple),
    "u16[]": st.lists(st.integers(0, 65535), max_size=9).map(tuple),
    "u32[]": st.lists(st.integers(0, 2**32 - 1), max_size=9).map(tuple),
    "u64[]": st.lists(st.integers(0, 2**64 - 1), max_size=9).map(tuple),
    "i64[]": st.lists(st.integers(-9, 9), max_size=9).map(tuple),
    "f64[]": st.lists(st.floats(allow_nan=False), max_size=9).map(tuple),
    "f64[][]": st.lists(st.lists(st.floats(0, 1), max_size=3).map(tuple), max_size=3).map(tuple),
}


def of_type(kind, layout):
    return st.builds(kind, *(KINDS[word] for word in layout.split()))


EVERY = st.one_of([of_type(kind, layout) for kind, layout in m.LAYOUTS.values()])


@pytest.mark.parametrize(("kind", "layout"), m.LAYOUTS.values(), ids=lambda v: getattr(v, "__name__", ""))
def test_the_table_has_a_kind_for_each_field(kind, layout):
    assert len(layout.split()) == len(kind._fields)


def test_both_directions_are_in_the_table_once():
    assert {kind for kind, _ in m.LAYOUTS.values()} == m.FROM_HOST | m.FROM_AGENT
    assert not m.FROM_HOST & m.FROM_AGENT
    assert all(getattr(m, kind.__name__) is kind for kind in m.FROM_HOST | m.FROM_AGENT)


@pytest.mark.parametrize("limits", [(-1,), (2**64,), (0.5,)])
def test_a_limit_on_time_is_a_count_of_nanoseconds(limits):
    infer = m.Infer(1, "m", 0, ((),), limits, (-1,), Tensor("uint8", (1, 1), b"a"))
    with pytest.raises(LocalWireError):
        m.encode_message(infer)


@given(EVERY)
def test_every_message_comes_back(message):
    back = m.decode_message(m.encode_message(message))
    assert type(back) is type(message)
    assert back == message


@given(EVERY, st.data())
def test_short_or_long_bytes_are_refused(message, data):
    encoded = m.encode_message(message)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(RemoteWireError):
        m.decode_message(encoded[:cut])
    if not isinstance(message, (m.Hello, m.Refused)):
        with pytest.raises(RemoteWireError):
            m.decode_message(encoded + b"\0")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_remote_error(data):
    with contextlib.suppress(RemoteWireError):
        m.decode_message(data)


def test_greetings_may_grow_in_later_versions():
    hello = m.Hello(9, 1, 2, "", 100, "")
    assert m.decode_message(m.encode_message(hello) + b"later fields") == hello


def test_golden_bytes():
    assert m.encode_message(m.Cancel(258, (1,))) == bytes.fromhex("08 0201000000000000 01000000 0100")
    assert m.encode_message(m.Probe(1)) == bytes.fromhex("02 0100")
    assert m.encode_message(m.ProbeReply(258, -2, 3)) == bytes.fromhex("83 0201 feffffffffffffff 03000000")
    infer = m.Infer(1, "m", 2, ((0.5,),), (), (-1,), Tensor("uint8", (1, 2), b"ab"))
    assert m.encode_message(infer) == bytes.fromhex(
        "07 0100000000000000 01000000 6d 02 01000000 01000000 000000000000e03f"
        "00000000 01000000 ffffffffffffffff 01 02 01000000 02000000 6162"
    )
    limited = infer._replace(stop_after_ns=(7,))
    assert m.encode_message(limited) == m.encode_message(infer).replace(
        bytes.fromhex("e03f 00000000"), bytes.fromhex("e03f 01000000 0700000000000000")
    )


def test_what_is_no_message_is_our_fault():
    with pytest.raises(LocalWireError):
        m.check_message(("Hello",))
