import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import LocalWireError, RemoteWireError, WireError
from testbed.wire import PROTOCOL_VERSION, Role, Session, State, Tensor
from testbed.wire import messages as m
from testbed.wire.frames import FLAG_FROM_AGENT, OVERHEAD_BYTES, encode_frame
from testbed.wire.session import DEFAULT_CHUNK_BYTES
from tests.testbed.wire.test_frames import split
from tests.testbed.wire.test_messages import of_type

HELLO = m.Hello(PROTOCOL_VERSION, 5, 0xABCD1234, "", 1 << 24, "")
WELCOME = m.Welcome(PROTOCOL_VERSION, 5, "", "boot", {"machine": "test"}, 8, 1 << 24)
IMAGE = Tensor("uint8", (1, 3, 224, 224), bytes(150528))


def infer(action, tensor=IMAGE):
    return m.Infer(action, "model", 0, ((0.5,),), (), (7,), tensor)


def drain(session, budget=1 << 16):
    parts = []
    while session.wants_to_send:
        parts.append(session.data_to_send(budget))
    return b"".join(parts)


def opened(**kwargs):
    host, agent = Session(Role.HOST, **kwargs), Session(Role.AGENT, **kwargs)
    host.send(HELLO)
    assert agent.receive(drain(host)) == [HELLO]
    agent.send(WELCOME)
    assert host.receive(drain(agent)) == [WELCOME]
    assert host.state is agent.state is State.READY
    return host, agent


def test_a_whole_conversation():
    host, agent = opened()
    host.send(infer(1))
    assert agent.receive(drain(host)) == [infer(1)]
    agent.send(m.Accepted(1, 10))
    agent.send(m.Done(1, 10, 20, 30, (0,), (Tensor("float32", (1, 2), bytes(8)),), {"paced_ns": 5}))
    assert [type(x) for x in host.receive(drain(agent))] == [m.Accepted, m.Done]
    host.send(m.Bye())
    assert agent.receive(drain(host)) == [m.Bye()]
    agent.send(m.Goodbye("asked"))
    assert host.receive(drain(agent)) == [m.Goodbye("asked")]
    assert host.state is agent.state is State.CLOSED


def test_a_cancel_leaves_within_one_chunk():
    host, agent = opened()
    host.send(infer(1))
    first = host.data_to_send(1)
    assert len(first) <= DEFAULT_CHUNK_BYTES + OVERHEAD_BYTES
    host.send(m.Cancel(1, ()))
    assert agent.receive(first + host.data_to_send(1)) == [m.Cancel(1, ())]
    assert agent.receive(drain(host)) == [infer(1)]


SMALL = st.one_of(
    [of_type(k, v) for k, v in m.LAYOUTS.values() if k in m.FROM_HOST - {m.Hello, m.Bye, m.Probe}]
)
"""Without the probe: it travels without a number, so one that a line doubles comes twice."""


class Noise:
    """Does to a list of frames what a bad line does."""

    def __init__(self, draw):
        self.draw = draw

    def __call__(self, frames):
        line = []
        for frame in frames:
            fault = self.draw(st.sampled_from(["none"] * 5 + ["lose", "double", "flip", "cut", "garbage"]))
            if fault == "lose":
                continue
            if fault == "flip":
                where = self.draw(st.integers(0, len(frame) * 8 - 1))
                broken = bytearray(frame)
                broken[where // 8] ^= 1 << where % 8
                frame = bytes(broken)
            elif fault == "cut":
                at = self.draw(st.integers(0, len(frame) - 1))
                frame = frame[:at] + frame[at + self.draw(st.integers(1, 20)) :]
            elif fault == "garbage":
                line.append(self.draw(st.binary(max_size=40)))
            elif fault == "double":
                line.append(frame)
            line.append(frame)
        return b"".join(line)


@settings(max_examples=150)
@given(st.lists(SMALL, max_size=12), st.lists(SMALL, max_size=4), st.lists(st.integers(0, 10**6)), st.data())
def test_noise_loses_messages_but_never_invents_repeats_or_raises(sent, after, cuts, data):
    host, agent = opened(chunk_bytes=64)
    for message in sent:
        host.send(message)
    frames = []
    while host.wants_to_send:
        frames.append(host.data_to_send(1))
    line = Noise(data.draw)(frames)
    for message in after:
        host.send(message)
    clean = drain(host)
    got = []
    for part in split(line + clean, cuts):
        got += agent.receive(part)
        assert agent.waiting_bytes <= (1 << 25) + 66_000
    got += agent.resync()
    pool = [(type(x), x) for x in sent + after]
    for message in got:
        pool.remove((type(message), message))  # was sent, and not delivered before
    for message in after:
        assert (type(message), message) in [(type(x), x) for x in got]


@settings(max_examples=50)
@given(st.binary(max_size=3000), st.sampled_from(Role))
def test_a_fresh_end_survives_any_bytes(noise, role):
    session = Session(role)
    try:
        assert session.receive(noise) == []
        assert session.resync() == []
    except WireError:
        pytest.fail("noise is not a rule broken")


def test_every_forbidden_send_is_our_fault_and_changes_nothing():
    for kind in m.FROM_AGENT:
        with pytest.raises(LocalWireError):
            Session(Role.HOST).send_late(kind, m.Bye)
    host = Session(Role.HOST)
    with pytest.raises(LocalWireError):
        host.send(m.Bye())
    with pytest.raises(LocalWireError):
        host.send("Hello")
    assert not host.wants_to_send
    assert host.state is State.FRESH


def test_a_message_too_early_is_their_fault():
    host, agent = Session(Role.HOST), Session(Role.AGENT)
    host.send(HELLO)
    agent.receive(drain(host))
    rogue = encode_frame(m.encode_message(m.Cancel(1, ())), tag=HELLO.session & 0xFFFF, message=1)
    with pytest.raises(RemoteWireError):
        agent.receive(rogue)
    assert agent.state is State.FAILED
    assert agent.receive(rogue) == []


def test_what_came_before_the_broken_rule_is_kept():
    host, agent = opened()
    host.send(m.Cancel(1, ()))
    rogue = encode_frame(b"\x7fwhat", tag=HELLO.session & 0xFFFF, message=99)
    with pytest.raises(RemoteWireError) as caught:
        agent.receive(drain(host) + rogue)
    assert caught.value.messages == [m.Cancel(1, ())]


def test_another_version_is_refused_by_the_session_itself():
    host, agent = Session(Role.HOST), Session(Role.AGENT)
    host.send(HELLO._replace(version=PROTOCOL_VERSION + 1))
    assert agent.receive(drain(host)) == []
    (refused,) = host.receive(drain(agent))
    assert isinstance(refused, m.Refused)
    assert refused.code == "version"
    assert host.state is agent.state is State.FRESH
    host.send(HELLO._replace(session=1))
    assert len(agent.receive(drain(host))) == 1


def test_an_agent_of_another_version_fails_the_host():
    host, agent = Session(Role.HOST), Session(Role.AGENT)
    host.send(HELLO)
    agent.receive(drain(host))
    agent.send(WELCOME._replace(version=PROTOCOL_VERSION + 1))
    with pytest.raises(RemoteWireError, match=f"version {PROTOCOL_VERSION + 1}"):
        host.receive(drain(agent))


def test_a_repeated_hello_is_ignored_and_a_new_one_starts_over():
    host, agent = Session(Role.HOST), Session(Role.AGENT)
    host.send(HELLO)
    data = drain(host)
    assert agent.receive(data + data) == [HELLO]
    agent.send(WELCOME)
    agent.send(m.Log(20, "of the old session"))
    leftover = drain(agent)
    second = Session(Role.HOST)
    second.send(HELLO._replace(session=2))
    assert len(agent.receive(drain(second))) == 1
    agent.send(WELCOME)
    assert second.receive(leftover + drain(agent)) == [WELCOME]
    assert second.stale_frames == 2
    second.send(m.Probe(1))
    assert agent.receive(drain(second)) == [m.Probe(1)]


def test_our_own_echo_is_noticed():
    host, agent = Session(Role.HOST), Session(Role.AGENT)
    host.send(HELLO)
    data = drain(host)
    assert host.receive(data) == []
    assert host.echoed_frames == 1
    agent.receive(data)
    agent.send(WELCOME)
    assert host.receive(data + drain(agent)) == [WELCOME]


def test_more_than_we_take_is_their_fault():
    host, agent = opened(max_message_bytes=200_000)
    host.send(infer(1))
    assert agent.receive(drain(host)) == [infer(1)]
    tag = HELLO.session & 0xFFFF
    frames = [encode_frame(bytes(60_000), flags=0, tag=tag, message=50, chunk=chunk) for chunk in range(4)]
    with pytest.raises(RemoteWireError, match="limit"):
        agent.receive(b"".join(frames))


def test_the_peer_s_limit_is_learnt_from_the_greeting():
    host, agent = Session(Role.HOST), Session(Role.AGENT)
    host.send(HELLO._replace(max_message_bytes=1000))
    agent.receive(drain(host))
    agent.send(WELCOME._replace(max_message_bytes=2000))
    host.receive(drain(agent))
    assert (host.peer_max_bytes, agent.peer_max_bytes) == (2000, 1000)
    with pytest.raises(LocalWireError):
        host.send(infer(1))


def test_back_pressure_shows():
    host, _ = opened(high_water_bytes=100_000)
    assert host.writable
    host.send(infer(1))
    assert not host.writable
    assert host.pending_bytes > 150_000
    drain(host)
    assert host.writable
    assert host.pending_bytes == 0


def test_a_budget_is_kept_to_within_one_frame():
    host, _ = opened(chunk_bytes=256)
    host.send(infer(1))
    assert len(host.data_to_send(256)) == 256 + OVERHEAD_BYTES
    assert 1000 <= len(host.data_to_send(1000)) <= 1000 + 256 + OVERHEAD_BYTES


def test_a_welcome_larger_than_a_chunk_comes_before_anything_else():
    host, agent = Session(Role.HOST, chunk_bytes=256), Session(Role.AGENT, chunk_bytes=256)
    host.send(HELLO)
    agent.receive(drain(host))
    agent.send(WELCOME._replace(facts={"text": "x" * 2000}))
    agent.send(m.Accepted(1, 1))
    agent.send(m.Log(20, "up"))
    assert [type(x) for x in host.receive(drain(agent))] == [m.Welcome, m.Accepted, m.Log]


def test_a_truncated_frame_holds_nothing_back_for_long():
    host, agent = opened()
    host.send(infer(1))
    whole = drain(host)
    host.send(m.Cancel(1, ()))
    assert agent.receive(whole[:-100] + drain(host)) == []
    assert agent.waiting_bytes > 0
    assert agent.resync() == [m.Cancel(1, ())]
    assert agent.counts["discarded_bytes"] > 0


def test_long_traffic_keeps_memory_flat():
    host, agent = opened(chunk_bytes=64)
    rng = random.Random(3)
    for action in range(3000):
        host.send(infer(action, Tensor("uint8", (100,), bytes(100))))
        data = drain(host)
        agent.receive(data[: rng.randrange(len(data))] if rng.random() < 0.3 else data)
    assert agent.waiting_bytes < 40 * 64 + 400


def test_agent_frames_carry_their_direction():
    _, agent = opened()
    agent.send(m.Log(20, "x"))
    assert agent.data_to_send()[4] & FLAG_FROM_AGENT


def test_a_probe_costs_12_bytes_and_its_reply_24_and_only_short_frames_carry_them():
    host, agent = opened()
    host.send(m.Probe(7))
    asked = drain(host)
    assert len(asked) == 12
    assert agent.receive(asked) == [m.Probe(7)]
    agent.send(m.ProbeReply(7, -5, 9))
    answered = drain(agent)
    assert len(answered) == 24
    assert host.receive(answered) == [m.ProbeReply(7, -5, 9)]
    with pytest.raises(RemoteWireError, match="whole frame"):
        agent.receive(encode_frame(m.encode_message(m.Probe(8)), tag=HELLO.session & 0xFFFF))
