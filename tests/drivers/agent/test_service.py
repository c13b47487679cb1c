import os
import threading
import time
from types import SimpleNamespace
from unittest.mock import Mock

from drivers.agent import service as service_module
from drivers.agent.ledger import Ledger
from drivers.agent.service import Service
from testbed.wire import PROTOCOL_VERSION, Tensor
from testbed.wire import messages as m
from testbed.wire.claim import Claim, note_of
from testbed.wire.frames import encode_frame
from tests.drivers.agent.conftest import PICTURE, infer


def test_other_versions_other_agents_and_older_tokens_are_refused(start):
    host = start()
    host.hello(version=PROTOCOL_VERSION + 1)
    assert host.expect(m.Refused).code == "version"
    host.hello(agent_sha256="ab" * 32)
    assert host.expect(m.Refused).code == "agent"
    host.greet(fence=10)
    host.hello(fence=9)
    assert host.expect(m.Refused).code == "fence"


def test_the_token_survives_the_agent(start):
    start().greet(fence=10)
    second = start()
    second.hello(fence=9)
    assert second.expect(m.Refused).code == "fence"
    second.greet(fence=10)


def test_probes_are_answered_while_it_executes(start):
    host = start()
    host.greet()
    host.load(sleep_ns=1_500_000_000)
    host.send(infer(1))
    t0 = time.monotonic_ns()
    host.send(m.Probe(5))
    reply = host.expect(m.ProbeReply)
    assert reply.seq == 5
    assert t0 < reply.t1 <= reply.t1 + reply.held < time.monotonic_ns()
    assert reply.t1 + reply.held < host.expect(m.Done).finished


class Stub:
    """A line, an outlet and a residency of which only this test's questions are asked."""

    lossy = False

    def __init__(self):
        self.claims = []

    def post(self, message):
        raise AssertionError(message)

    def submit(self, entry, *, claim):
        self.claims.append(claim)
        return "lane" if claim else None


def test_the_reader_runs_one_lane_of_those_it_reads_for_and_the_stand_in_none():
    stub = Stub()
    service = Service(
        stub,
        stub,
        Ledger(8),
        stub,
        None,
        None,
        facts=dict,
        boot_id="",
        sha256="",
        now_ns=time.monotonic_ns,
        max_message_bytes=1 << 20,
    )
    assert service._infer(infer(1)) is None
    service._may_claim = True
    assert service._infer(infer(2)) == "lane"
    assert service._infer(infer(3)) is None
    assert stub.claims == [False, True, False]


def test_it_receives_while_it_executes_and_refuses_beyond_its_credit(start):
    host = start("--max-inflight", "2")
    host.greet()
    host.load(sleep_ns=200_000_000)
    host.send(infer(1), infer(2), infer(3))
    failed = host.expect(m.Failed)
    assert (failed.number, failed.code) == (3, "busy")
    assert [host.expect(m.Done).action for _ in range(2)] == [1, 2]
    host.send(infer(3))
    host.expect(m.Done)


def test_a_cancel_that_overtakes_its_order_is_remembered(start):
    host = start()
    host.greet()
    host.load()
    host.session.send(infer(1, PICTURE))
    host.send(m.Cancel(1, ()))
    assert host.expect(m.Cancelled) == m.Cancelled(1, m.BEFORE_START, ())
    host.nothing(m.Done)


def test_garbage_on_the_line_costs_nothing_after_it(start):
    host = start()
    host.greet()
    host.load()
    host.raw(os.urandom(5000) + b"\xa5\x5a" * 7)
    host.send(infer(1))
    host.expect(m.Done)
    host.raw(encode_frame(bytes(9000))[:100])  # a frame that never ends
    host.send(m.Probe(1))
    host.expect(m.ProbeReply)


def test_a_host_that_breaks_the_rules_is_hung_up_on(start):
    host = start()
    host.greet()
    host.session._outbox.put(m.Cancel, b"\x7fnonsense")
    host.send()
    assert host.process.wait(20) == 3


def test_it_ends_with_the_line_and_on_goodbye(start):
    host = start()
    host.greet()
    host.load(sleep_ns=30_000_000_000)
    host.send(infer(1))
    host.process.stdin.close()
    assert host.process.wait(20) == 0  # the execution would take 30 s
    other = start()
    other.greet()
    other.send(m.Bye())
    assert other.expect(m.Goodbye)
    assert other.process.wait(20) == 0


def test_a_new_holder_finds_the_board_empty_and_the_same_one_finds_its_work(start):
    host = start()
    host.greet(fence=5)
    host.load()
    host.send(infer(1))
    done = host.expect(m.Done)
    assert host.greet(fence=5).facts["models"] == ["echo"]
    host.send(infer(1))
    assert host.expect(m.Done) == done
    assert host.greet(fence=6).facts["models"] == []
    host.load()
    host.send(infer(1))
    assert host.expect(m.Done).received > done.finished


def test_large_replies_to_a_slow_reader_all_come(start):
    host = start()
    host.greet()
    host.load()
    big = Tensor("uint8", (1, 4_000_000), bytes(4_000_000))
    for action in range(12):
        host.session.send(infer(action, big))
    threading.Thread(target=host.send, daemon=True).start()
    assert [host.expect(m.Done, timeout=30).action for _ in range(12)] == list(range(12))


def test_only_the_newest_greeting_is_answered(start):
    host = start()
    host.session.send(m.Hello(PROTOCOL_VERSION, 1, 11, "", 1 << 24, ""))
    first = host.session.data_to_send()
    host.session.send(m.Hello(PROTOCOL_VERSION, 2, 12, "", 1 << 24, ""))
    host.raw(first + host.session.data_to_send())
    assert host.expect(m.Welcome).fence == 2
    host.nothing(m.Welcome)
    host.load()
    host.send(infer(1))
    host.expect(m.Done)


def test_only_silence_ends_a_lease_and_a_stranger_does_not_break_it(monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: clock.t, t=100.0)
    monkeypatch.setattr(service_module, "time", clock)
    outlet, lease = Mock(), Mock(admit=Mock(return_value=None))
    service = Service(
        *(Mock(survives=False), outlet, Mock(), Mock(), Mock(), lease),
        facts=dict,
        boot_id="b",
        sha256="",
        now_ns=lambda: 0,
        max_message_bytes=100,
    )
    said = lambda: [call.args[0] for call in outlet.post.call_args_list]  # noqa: E731
    hello = m.Hello(PROTOCOL_VERSION, 5, 1, "", 100, note_of(Claim(5, "ann", "a", 10_000_000_000)))
    service._handle(hello, 0)
    clock.t += 60  # importing a runtime takes long on some boards
    service._mind_silence()
    service._welcome(hello)
    for _ in range(5):
        clock.t += 8
        service._handle(m.Probe(1), 0)
        service._mind_silence()
    clock.t += 8
    lease.admit.return_value = m.Refused("busy", "ann is here")
    service._handle(hello._replace(fence=6, note=""), 0)
    assert lease.admit.call_args.kwargs == {"heard": True}
    service._mind_silence()
    assert [type(message) for message in said()] == [m.Refused]
    clock.t += 3
    service._mind_silence()
    assert isinstance(said()[-1], m.Goodbye)
    lease.leave.assert_not_called()  # this process ends with its line, and says so then
    service.leave()
    assert lease.leave.call_args.kwargs == {"over": True}
