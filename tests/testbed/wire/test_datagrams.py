import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire import Tensor
from testbed.wire import messages as m
from testbed.wire.datagrams import (
    LIMIT_BYTES,
    Answers,
    Order,
    answers,
    check_action,
    decode_order,
    encode_order,
)

ORDER = Order("cnn", 1, (0.5,), 7, (1, 28, 28), 30_000, 3_000, 0, 0.3, 2, ())


def done(classes):
    return m.Done(
        5, 1, 2, 3, (0,), (Tensor("float32", (1, classes), bytes(4 * classes)),), {"lost_frac": 0.1}
    )


def test_an_order_comes_back():
    assert decode_order(encode_order(ORDER)) == ORDER
    for data in (b"", encode_order(ORDER)[:-1], encode_order(ORDER) + b"x"):
        with pytest.raises(RemoteWireError):
            decode_order(data)
    with pytest.raises(LocalWireError):
        encode_order(ORDER._replace(fill=-1))


@pytest.mark.parametrize("classes", [10, 1000])
def test_an_answer_comes_back_whatever_the_order_of_its_parts_and_the_second_copy_too(classes):
    parts = answers(5, done(classes))
    assert len(parts) == (1 if classes == 10 else 4)
    assert max(map(len, parts)) <= LIMIT_BYTES
    taken = Answers()
    for _ in range(2):
        found = [taken.take(part) for part in reversed(parts)]
        assert found[:-1] == [None] * (len(parts) - 1)
        assert found[-1] == done(classes)


def test_an_answer_that_is_too_large_travels_reliably_only():
    assert answers(5, done(40_000)) == []
    assert answers(1 << 32, done(10)) == []


@given(st.binary(max_size=40))
def test_any_content_is_an_answer_or_refused(content):
    try:
        Answers().take(content)
    except RemoteWireError:
        return
    assert len(content) >= 7  # a head; the first of several parts may be empty


def test_numbers_end():
    assert check_action(0xFFFFFFFF) == 0xFFFFFFFF
    with pytest.raises(LocalWireError, match="used up"):
        check_action(1 << 32)
