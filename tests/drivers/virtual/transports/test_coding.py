import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.virtual.transports.coding import MOST, CodedGatherings, protect, read, why_not
from testbed.errors import LocalWireError, RemoteWireError

needs_code = pytest.mark.skipif(bool(why_not()), reason=why_not())
MS = 1_000_000


def gather(contents, wait=30 * MS, gap=3 * MS, now=0):
    gatherings = CodedGatherings(wait, gap)
    through = [one for content in contents for one in gatherings.add(read(content), now)]
    return gatherings, through


@needs_code
@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 60_000),
    limit=st.integers(300, 1200),
    redundancy=st.sampled_from([0.1, 0.2, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_any_k_of_each_block_give_the_bytes_back(size, limit, redundancy, seed) -> None:
    rng = random.Random(seed)
    data = rng.randbytes(size)
    try:
        contents = protect(7, data, limit=limit, redundancy=redundancy)
    except LocalWireError:
        assert size > 200 * 10  # many blocks only
        return
    assert max(map(len, contents)) <= limit
    blocks: dict[int, list[bytes]] = {}
    for content in contents:
        blocks.setdefault(read(content).block, []).append(content)
    kept = []
    for block in blocks.values():
        k, n = read(block[0]).k, read(block[0]).n
        assert len(block) == n <= MOST
        kept += rng.sample(block, k)
    rng.shuffle(kept)
    _, through = gather(kept)
    assert [(one.number, one.data) for one in through] == [(7, data)]


@needs_code
def test_the_share_of_coded_datagrams_is_the_one_asked_for() -> None:
    one = read(protect(1, bytes(20_000), limit=1200, redundancy=0.2)[0])
    assert (one.n - one.k) == -(-one.k // 5)


@needs_code
def test_one_too_few_is_through_without_bytes_when_the_wait_is_over() -> None:
    contents = protect(1, bytes(5000), limit=1200, redundancy=0.2)
    k = read(contents[0]).k
    gatherings, through = gather(contents[: k - 1])
    assert not through
    assert gatherings.due == 30 * MS
    assert gatherings.late(30 * MS - 1) == []
    assert gatherings.late(30 * MS) == [(1, None)]
    assert gatherings.due is None
    assert gatherings.add(read(contents[-1]), 31 * MS) == []  # nothing of it is taken any more


@needs_code
def test_the_last_datagram_shortens_the_wait() -> None:
    contents = protect(1, bytes(5000), limit=1200, redundancy=0.2)
    gatherings, _ = gather([contents[0], contents[-1]])
    assert gatherings.due == 3 * MS


@needs_code
def test_a_contradiction_and_what_is_none_are_refused() -> None:
    contents = protect(1, bytes(5000), limit=1200, redundancy=0.2)
    other = protect(1, bytes(9000), limit=1200, redundancy=0.2)
    gatherings, _ = gather(contents[:1])
    with pytest.raises(RemoteWireError, match="contradicts"):
        gatherings.add(read(other[1]), 0)
    for wrong in (
        b"",
        contents[0][:5],
        b"\0\0\0\1" + bytes((1, 1, 3, 4, 0)),
        b"\0\0\0\1" + bytes((0, 1, 3, 4, 4)),
    ):
        with pytest.raises(RemoteWireError):
            read(wrong)


@needs_code
def test_too_many_blocks_are_refused() -> None:
    with pytest.raises(LocalWireError, match="too many blocks"):
        protect(1, bytes(3_000_000), limit=256, redundancy=0.2)
