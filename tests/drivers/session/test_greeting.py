from __future__ import annotations

import time

import msgspec
import pytest

from drivers.boards.composition import CommonOptions, Composition
from drivers.session.greeting import RefusedError, claim_of, greet
from testbed.errors import BoardError, LeaseError, LinkError
from testbed.wire import Role, Session
from testbed.wire import claim as wire_claim
from testbed.wire import messages as m

CLAIM = wire_claim.Claim(7, "ann", "store", 15_000_000_000)


async def hello(far_side, *, lossy=False, bound_s=2.0, sha=""):
    parts = Composition(
        kind="t", make_link=lambda: far_side, lossy=lossy, agent_sha256=sha, common=CommonOptions()
    )
    await far_side.open()
    limit = time.monotonic_ns() + round(bound_s * 1e9)
    return await greet(Session(Role.HOST), far_side, "b", parts, CLAIM, limit, time.monotonic_ns)


async def test_fence_and_expected_agent_travel(far_side):
    await hello(far_side, sha="ab")
    (message,) = far_side.of(m.Hello)
    assert (message.fence, message.agent_sha256) == (7, "ab")
    assert wire_claim.claim_of(7, message.note) == CLAIM


def test_the_board_keeps_us_longer_than_we_are_ever_silent(make_spec):
    spec = make_spec()
    assert claim_of(spec, 10_000).ttl_ns == 0
    leased = msgspec.structs.replace(spec, ttl=15_000_000_000)
    assert claim_of(leased, 10_000).ttl_ns == 15_000_000_000
    assert claim_of(leased, 60_000).ttl_ns == 60_000_000_000


@pytest.mark.parametrize(
    ("code", "kind"), [("fence", LeaseError), ("busy", LeaseError), ("agent", RefusedError)]
)
async def test_a_refusal_has_its_code_and_a_cure(far_side, code, kind):
    far_side.replies[m.Hello] = lambda _: [m.Refused(code, "no")]
    with pytest.raises(kind) as caught:
        await hello(far_side)
    assert caught.value.code == code
    assert caught.value.cure


async def test_another_version_is_refused_with_a_cure(far_side):
    far_side.replies[m.Hello] = lambda x: [far_side.welcome(x, version=99)]
    with pytest.raises(BoardError, match="99") as caught:
        await hello(far_side)
    assert "Install the agent" in caught.value.cure


async def test_silence_is_bounded(far_side):
    far_side.replies[m.Hello] = lambda _: []
    with pytest.raises(LinkError, match="did not answer"):
        await hello(far_side, bound_s=0.1)


async def test_on_a_lossy_line_hello_is_repeated_with_a_new_number(far_side):
    far_side.replies[m.Hello] = lambda x: [far_side.welcome(x)] if len(far_side.of(m.Hello)) > 1 else []
    await hello(far_side, lossy=True)
    first, second = far_side.of(m.Hello)
    assert first.session != second.session


async def test_a_link_that_ends_is_a_link_error(far_side):
    def die(_):
        far_side.die()
        return []

    far_side.replies[m.Hello] = die
    with pytest.raises(LinkError, match="gone"):
        await hello(far_side)
