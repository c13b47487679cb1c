import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire.codec import Layout, Tensor


def through(kinds, *values):
    out = []
    layout = Layout(kinds)
    layout.write(out, values)
    data = memoryview(b"".join(out))
    back, at = layout.read(data, 0)
    assert at == len(data)
    return back


@given(
    st.integers(0, 255),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(),
    st.binary(),
    st.lists(st.lists(st.floats(allow_nan=False))),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.none(), st.lists(st.integers()))),
)
def test_every_kind_comes_back(u8, i64, f64, flag, text, raw, nested, texts, facts):
    back = through(
        "u8 i64 f64 bool str bytes f64[][] str[] json", u8, i64, f64, flag, text, raw, nested, texts, facts
    )
    assert back == [u8, i64, f64, flag, text, raw, tuple(map(tuple, nested)), tuple(texts), facts]


def test_a_tensor_comes_back_without_a_copy():
    layout = Layout("tensor")
    out = []
    layout.write(out, (Tensor("float32", (2, 3), bytes(range(24))),))
    whole = memoryview(b"".join(out))
    (tensor,), _ = layout.read(whole, 0)
    assert tensor == ("float32", (2, 3), bytes(range(24)))
    assert tensor.data.obj is whole.obj


def test_a_view_of_wide_elements_is_taken_as_bytes():
    numbers = array.array("f", [1.0, 2.0])
    (tensor,) = through("tensor", Tensor("float32", (2,), memoryview(numbers)))
    assert tensor.data == numbers.tobytes()
    assert through("bytes", memoryview(numbers)) == [numbers.tobytes()]


@pytest.mark.parametrize(
    ("kinds", "value"),
    [
        ("u8", 256),
        ("u64", -1),
        ("u16", 1.5),
        ("str", 3),
        ("tensor", Tensor("uint8", (4,), b"123")),
        ("tensor", Tensor("complex64", (0,), b"")),
        ("tensor", Tensor("uint8", (1,) * 9, b"1")),
        ("json", {"x": float("nan")}),
        ("json", {"x": b"raw"}),
        ("u8[]", [256]),
        ("f64[][]", 5),
    ],
)
def test_values_that_do_not_fit_are_our_fault(kinds, value):
    with pytest.raises(LocalWireError):
        through(kinds, value)


@pytest.mark.parametrize("kinds", ["u64", "str", "bytes", "json", "tensor", "u16[]", "f64[][]", "tensor[]"])
@given(data=st.binary(max_size=64))
def test_any_bytes_give_values_or_a_remote_error(kinds, data):
    try:
        _, at = Layout(kinds).read(memoryview(data), 0)
    except RemoteWireError:
        return
    assert at <= len(data)


def test_an_announced_length_is_checked_before_memory_is_taken():
    with pytest.raises(RemoteWireError):
        Layout("f64[]").read(memoryview(b"\xff\xff\xff\xff"), 0)
    with pytest.raises(RemoteWireError):
        Layout("tensor").read(memoryview(b"\x0b\x08" + b"\xff" * 32), 0)
