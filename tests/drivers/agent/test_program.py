import hashlib
import os
import pty
import sys
import time

import pytest

from drivers.agent.program import main
from testbed.wire import Role, Session, State, Tensor
from testbed.wire import messages as m
from testbed.wire.frames import encode_frame

PICTURE = Tensor("uint8", (1, 3, 224, 224), bytes(range(256)) * 588)


def infer(action, tensor=None, model="echo", items=1, **changes):
    tensor = tensor or Tensor("uint8", (items, 4), bytes(4 * items))
    return m.Infer(action, model, 0, ((),) * items, (-1,) * items, tensor, 0)._replace(**changes)


def test_hello_tells_what_the_board_is(start, agent_pyz):
    welcome = start().greet(agent_sha256=agent_pyz[1], fence=3)
    assert (welcome.version, welcome.fence, welcome.agent_sha256) == (1, 3, agent_pyz[1])
    assert welcome.max_inflight == 64
    assert welcome.facts["python"] == sys.version.split()[0]
    assert welcome.facts["clock"] == "time.monotonic_ns"
    assert set(welcome.facts["runtimes"]) == {"echo", "onnxruntime"}
    assert welcome.boot_id


def test_other_versions_other_agents_and_older_tokens_are_refused(start):
    host = start()
    host.hello(version=2)
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


def test_infer_gives_stamps_in_order_and_the_output(start):
    host = start()
    host.greet()
    host.load()
    before = time.monotonic_ns()
    host.send(infer(1, PICTURE))
    accepted, done = host.expect(m.Accepted), host.expect(m.Done)
    assert before < accepted.received == done.received <= done.started <= done.finished < time.monotonic_ns()
    assert done.outputs == (PICTURE,)
    assert done.exits == (0,)


def test_probes_are_answered_while_it_executes(start):
    host = start()
    host.greet()
    host.load(sleep_ns=500_000_000)
    host.send(infer(1))
    t0 = time.monotonic_ns()
    host.send(m.Probe(5, t0))
    reply = host.expect(m.ProbeReply)
    assert (reply.seq, reply.t0) == (5, t0)
    assert t0 < reply.t1 <= reply.t2 < time.monotonic_ns() < t0 + 400_000_000
    host.expect(m.Done)


def test_a_repeated_order_is_executed_once(start):
    host = start()
    host.greet()
    host.load(sleep_ns=100_000_000)
    host.send(infer(1), infer(1))
    first = host.expect(m.Done)
    host.send(infer(1))
    assert host.expect(m.Done) == first
    host.nothing(m.Done)
    host.send(infer(1, items=2))
    assert host.expect(m.Failed).code == "action-reused"


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


def test_instances_run_side_by_side(start):
    host = start()
    host.greet()
    host.load(sleep_ns=300_000_000, instances=2)
    host.send(infer(1), infer(2, instance=1))
    one, two = host.expect(m.Done), host.expect(m.Done)
    assert max(one.started, two.started) < min(one.finished, two.finished)
    host.send(infer(3, instance=2))
    assert host.expect(m.Failed).code == "no-instance"


def test_cancel_before_start(start):
    host = start()
    host.greet()
    host.load(sleep_ns=200_000_000)
    host.send(infer(1), infer(2), m.Cancel(2, ()))
    assert host.expect(m.Cancelled) == m.Cancelled(2, m.BEFORE_START, ())
    assert host.expect(m.Done).action == 1
    host.nothing(m.Done)


def test_cancel_of_some_items_before_start(start):
    host = start()
    host.greet()
    host.load(sleep_ns=100_000_000)
    host.send(infer(1), infer(2, items=3), m.Cancel(2, (1,)))
    assert host.expect(m.Cancelled) == m.Cancelled(2, m.BEFORE_START, (1,))
    assert host.expect(m.Done, where=lambda d: d.action == 2).exits == (0, m.CANCELLED_EXIT, 0)


def test_cancel_during_stops_between_exits(start):
    host = start("--started")
    host.greet()
    host.load(sleep_ns=100_000_000, exits=50)
    host.send(infer(1))
    host.expect(m.Started)
    host.send(m.Cancel(1, ()))
    assert host.expect(m.Cancelled, timeout=2) == m.Cancelled(1, m.DURING, ())
    host.nothing(m.Done)


def test_cancel_too_late(start):
    host = start()
    host.greet()
    host.load()
    host.send(infer(1))
    host.expect(m.Done)
    host.send(m.Cancel(1, ()))
    assert host.expect(m.Cancelled).stage == m.TOO_LATE


def test_a_cancel_that_overtakes_its_order_is_remembered(start):
    host = start()
    host.greet()
    host.load()
    host.session.send(infer(1, PICTURE))
    host.send(m.Cancel(1, ()))
    assert host.expect(m.Cancelled) == m.Cancelled(1, m.BEFORE_START, ())
    host.nothing(m.Done)


def test_a_failing_runtime_reports_and_the_agent_goes_on(start):
    host = start()
    host.greet()
    host.load("broken", fail="no luck")
    host.load("good")
    host.send(infer(1, model="broken"), infer(2, model="good"), infer(3, model="none"))
    failed = host.expect(m.Failed, where=lambda f: f.number == 1)
    assert failed.code == "runtime"
    assert "no luck" in failed.text
    assert "Traceback" in failed.traceback
    assert host.expect(m.Failed, where=lambda f: f.number == 3).code == "no-model"
    assert host.expect(m.Done).action == 2


def test_orders_that_make_no_sense_fail_alone(start):
    host = start()
    host.greet()
    host.load()
    host.send(infer(1, samples=()), infer(2, thresholds=(), samples=()), infer(3))
    assert {host.expect(m.Failed).number for _ in range(2)} == {1, 2}
    host.expect(m.Done)
    host.send(m.LoadModel(9, "x", ("../../etc/passwd",), "echo", {}, 1))
    assert not host.expect(m.Loaded).ok
    host.send(m.LoadModel(10, "x", (), "tea", {}, 1))
    assert "no runtime" in host.expect(m.Loaded).text


def test_unloading_fails_what_waits(start):
    host = start("--started")
    host.greet()
    host.load(sleep_ns=200_000_000)
    host.send(infer(1), infer(2))
    host.expect(m.Started)
    host.expect(m.Accepted, where=lambda a: a.action == 2)
    host.send(m.UnloadModel(8, "echo"))
    failed = host.expect(m.Failed)
    assert (failed.number, failed.code) == (2, "unloaded")
    assert host.expect(m.Done).action == 1
    assert host.expect(m.Loaded).ok
    host.send(infer(3))
    assert host.expect(m.Failed).code == "no-model"


def test_blobs_travel_in_pieces_resume_and_are_verified(start, tmp_path):
    data = os.urandom(200_000)
    sha256 = hashlib.sha256(data).hexdigest()
    first = start()
    first.greet()
    first.send(m.PutBlob(sha256, len(data), 0, data[:70_000]))
    assert first.expect(m.BlobState) == m.BlobState(sha256, 70_000, False, "")
    first.close()
    host = start()
    host.greet()
    host.send(m.AskBlob(sha256))
    assert host.expect(m.BlobState).have == 70_000
    host.send(m.PutBlob(sha256, len(data), 0, data[:70_000]))
    assert "70000" in host.expect(m.BlobState).text
    host.send(m.PutBlob(sha256, len(data), 70_000, data[70_000:]))
    assert host.expect(m.BlobState) == m.BlobState(sha256, 200_000, True, "")
    assert (tmp_path / "state/blobs" / sha256).read_bytes() == data
    host.send(m.PutBlob("0" * 64, 3, 0, b"abc"))
    state = host.expect(m.BlobState)
    assert (state.have, state.complete) == (0, False)
    assert "hash" in state.text
    (tmp_path / "state/blobs" / sha256).write_bytes(b"rotten")
    host.send(m.LoadModel(1, "x", (sha256,), "echo", {}, 1))
    assert "damaged" in host.expect(m.Loaded).text


def test_garbage_on_the_line_costs_nothing_after_it(start):
    host = start()
    host.greet()
    host.load()
    host.raw(os.urandom(5000) + b"\xa5\x5a" * 7)
    host.send(infer(1))
    host.expect(m.Done)
    host.raw(encode_frame(bytes(9000))[:100])  # a frame that never ends
    host.send(m.Probe(1, 1))
    host.expect(m.ProbeReply, timeout=5)


def test_a_host_that_breaks_the_rules_is_hung_up_on(start):
    host = start()
    host.greet()
    host.session._outbox.put(m.Cancel, b"\x7fnonsense")
    host.send()
    assert host.process.wait(5) == 3


def test_it_ends_with_the_line_and_on_goodbye(start):
    host = start()
    host.greet()
    host.load(sleep_ns=30_000_000_000)
    host.send(infer(1))
    begin = time.monotonic()
    host.process.stdin.close()
    assert host.process.wait(5) == 0
    other = start()
    other.greet()
    other.send(m.Bye())
    assert other.expect(m.Goodbye)
    assert other.process.wait(5) == 0
    assert time.monotonic() - begin < 8


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


def test_nothing_printed_reaches_the_wire(agent_pyz, tmp_path):
    from tests.drivers.agent.conftest import Host

    script = tmp_path / "noisy.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(agent_pyz[0])!r})\n"
        "from drivers.agent.program import main\n"
        "from drivers.agent.runtimes.echo import EchoRuntime\n"
        "class Clock:\n"
        "    name = 'skewed'\n"
        "    def now_ns(self): return 42\n"
        "class Noisy(EchoRuntime):\n"
        "    def run(self, *a):\n"
        "        print('stray'); os.write(1, b'native stray'); return super().run(*a)\n"
        "os._exit(main(sys.argv[1:], clock=Clock(), runtimes={'echo': Noisy}, meters={},\n"
        "              facts={'boot_id': 'b', 'board': 'toy'}))\n"
    )
    host = Host([sys.executable, str(script), "--stdio", "--state", str(tmp_path / "s")], cwd=tmp_path)
    try:
        welcome = host.greet(agent_sha256=agent_pyz[1])
        assert (welcome.boot_id, welcome.facts["board"], welcome.facts["clock"]) == ("b", "toy", "skewed")
        host.load()
        host.send(infer(1))
        done = host.expect(m.Done)
        assert (done.received, done.started, done.finished) == (42, 42, 42)
        assert host.session.counts["discarded_bytes"] == 0
    finally:
        host.close()


def test_on_a_tty_it_stays_for_the_next_host(agent_pyz, tmp_path):
    import select
    import subprocess
    import tty

    near, far = pty.openpty()
    tty.setraw(near)
    command = [sys.executable, str(agent_pyz[0]), "--tty", os.ttyname(far), "--baud", "115200"]
    process = subprocess.Popen([*command, "--state", str(tmp_path)], cwd=tmp_path)
    try:
        for number in (1, 2):
            session = Session(Role.HOST, chunk_bytes=256)
            until = time.monotonic() + 10
            tries = number * 10
            while session.state is not State.READY:
                assert time.monotonic() < until
                tries += 1
                session.send(m.Hello(1, 1, tries, "", 1 << 20, ""))
                os.write(near, b"noise" + session.data_to_send())
                while session.state is not State.READY and select.select([near], [], [], 2)[0]:
                    session.receive(os.read(near, 4096))
            session.send(m.Bye())
            os.write(near, session.data_to_send())
            while session.state is not State.CLOSED:
                assert select.select([near], [], [], 5)[0]
                session.receive(os.read(near, 4096))
    finally:
        process.kill()
        process.wait()
        os.close(near)
        os.close(far)


@pytest.mark.parametrize(
    "argv", [["--tty", "/dev/does-not-exist"], ["--tty", "/dev/null", "--baud", "12345"]]
)
def test_unusable_arguments_are_told(argv, tmp_path):
    assert main([*argv, "--state", str(tmp_path)]) == 2
