import time
from itertools import count, pairwise
from unittest.mock import Mock

from drivers.agent.executor import Executor
from drivers.agent.ledger import Ledger
from drivers.agent.runtimes.echo import EchoRuntime
from testbed.wire import messages as m
from tests.drivers.agent.conftest import PICTURE, infer


def test_infer_gives_stamps_in_order_and_the_output(start):
    host = start()
    host.greet()
    host.load()
    before = time.monotonic_ns()
    host.send(infer(1, PICTURE))
    done = host.expect(m.Done)
    assert before < done.received <= done.started <= done.finished < time.monotonic_ns()
    assert done.outputs == (PICTURE,)
    assert done.exits == (0,)


def test_the_runtime_hears_which_rows_were_lost():
    ledger, outlet = Ledger(1), Mock()
    lane = Executor(0, ledger=ledger, outlet=outlet, now_ns=time.monotonic_ns, report_start=False)
    entry, _ = ledger.admit(infer(1, PICTURE), 0)
    entry.lost_rows = 0b110
    runtime = Mock()
    assert lane.put("net", runtime, entry, claim=True)
    lane.work()
    assert runtime.run.call_args.args[-1] == 0b110


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


def test_two_models_take_turns_in_one_lane_in_the_order_they_came(start):
    host = start()
    host.greet()
    host.load("a", sleep_ns=20_000_000, instances=2)
    host.load("b", sleep_ns=20_000_000)
    host.send(*(infer(i, model="ab"[i % 2]) for i in range(8)))
    runs = [host.expect(m.Done) for _ in range(8)]
    assert [run.action for run in runs] == list(range(8))
    assert all(earlier.finished <= later.started for earlier, later in pairwise(runs))


def test_two_models_in_two_lanes_run_at_the_same_time(start):
    host = start()
    host.greet()
    host.load("a", sleep_ns=300_000_000)
    host.load("b", sleep_ns=300_000_000, instances=2)
    host.send(infer(1, model="a"), infer(2, model="b", instance=1))
    one, two = host.expect(m.Done), host.expect(m.Done)
    assert max(one.started, two.started) < min(one.finished, two.finished)


def test_the_time_inside_is_limited_by_item(start):
    host = start()
    host.greet()
    host.load(exits=3, sleep_ns=1_000_000)
    host.send(infer(1, items=2, stop_after_ns=(1, 0)), infer(2, items=2))
    assert host.expect(m.Done).exits == (0, 2)
    assert host.expect(m.Done).exits == (2, 2)
    host.send(infer(1, items=2, stop_after_ns=(2, 0)))
    assert host.expect(m.Failed).code == "action-reused"


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


def test_answers_of_brief_executions_leave_together_and_how_brief_is_learned():
    ledger, outlet, runtime, clock = Ledger(16), Mock(), EchoRuntime(), count(0, 150_000)
    runtime.load("echo", [], {}, 1)
    lane = Executor(0, ledger=ledger, outlet=outlet, now_ns=lambda: next(clock), report_start=False)

    def put(*actions):
        return [lane.put("echo", runtime, ledger.admit(infer(n), 0)[0], claim=True) for n in actions]

    assert put(1, 2, 3, 4, 5, 6) == [True, False, False, False, False, False]
    assert not lane.brief  # nothing is known of it yet
    lane.work(together=4)
    did = [call.args[0].action if call.args else "write" for call in outlet.method_calls]
    assert did == [1, 2, 3, 4, "write", 5, 6, "write"]
    put(7, 8, 9, 10, 11, 12)
    assert lane.brief  # 6 of 150 us
    put(13)
    assert not lane.brief
    lane.work()
    assert outlet.write.call_count == 2 + 7


def test_a_cancel_is_heard_where_an_execution_is_not_as_brief_as_the_last_one(start):
    host = start("--started")
    host.greet()
    host.load()
    host.send(infer(1))
    host.expect(m.Done)
    host.load(sleep_ns=100_000_000, exits=200)
    host.send(infer(2))
    host.expect(m.Started, where=lambda s: s.action == 2)
    host.send(m.Cancel(2, ()))
    assert host.expect(m.Cancelled, timeout=15) == m.Cancelled(2, m.DURING, ())
    host.nothing(m.Done)
