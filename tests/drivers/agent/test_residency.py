from testbed.wire import messages as m
from tests.drivers.agent.conftest import infer


def test_instances_run_side_by_side(start):
    host = start()
    host.greet()
    host.load(sleep_ns=300_000_000, instances=2)
    host.send(infer(1), infer(2, instance=1))
    one, two = host.expect(m.Done), host.expect(m.Done)
    assert max(one.started, two.started) < min(one.finished, two.finished)
    host.send(infer(3, instance=2))
    assert host.expect(m.Failed).code == "no-instance"


def test_unloading_fails_what_waits(start):
    host = start("--started")
    host.greet()
    host.load(sleep_ns=200_000_000)
    host.send(infer(1), infer(2))
    host.expect(m.Started)
    host.taken()
    host.send(m.UnloadModel(8, "echo"))
    failed = host.expect(m.Failed)
    assert (failed.number, failed.code) == (2, "unloaded")
    assert host.expect(m.Done).action == 1
    assert host.expect(m.Loaded).ok
    host.send(infer(3))
    assert host.expect(m.Failed).code == "no-model"


def test_unloading_one_model_leaves_the_others_queue_alone(start):
    host = start("--started")
    host.greet()
    host.load("a", sleep_ns=150_000_000)
    host.load("b")
    host.send(infer(1, model="a"), infer(2, model="b"), infer(3, model="a"), infer(4, model="b"))
    host.expect(m.Started)
    host.taken()
    host.send(m.UnloadModel(8, "a"))
    failed = host.expect(m.Failed)
    assert (failed.number, failed.code) == (3, "unloaded")
    assert [host.expect(m.Done).action for _ in range(3)] == [1, 2, 4]
    assert host.expect(m.Loaded).ok
    host.send(infer(5, model="a"), infer(6, model="b"))
    assert host.expect(m.Failed).code == "no-model"
    assert host.expect(m.Done).action == 6


def test_unloading_an_idle_model_does_not_wait_for_another(start):
    host = start("--started")
    host.greet()
    host.load("a", sleep_ns=300_000_000)
    host.load("b")
    host.send(infer(1, model="a"))
    host.expect(m.Started)
    host.send(m.UnloadModel(8, "b"))
    assert host.expect(m.Loaded).ok
    assert not any(isinstance(message, m.Done) for message in host.inbox)
    host.expect(m.Done)


def test_a_model_loaded_anew_does_not_run_what_was_meant_for_the_old_one(start):
    host = start("--started")
    host.greet()
    host.load(sleep_ns=150_000_000)
    host.send(infer(1), infer(2))
    host.expect(m.Started)  # what has not begun when a model is loaded anew fails with the rest
    host.taken()
    host.load(sleep_ns=1)
    assert host.expect(m.Failed).number == 2
    assert host.expect(m.Done).action == 1
    host.send(infer(3))
    done = host.expect(m.Done)
    assert done.finished - done.started < 100_000_000


def test_orders_that_make_no_sense_fail_alone(start):
    host = start()
    host.greet()
    host.load()
    host.send(
        infer(1, samples=()), infer(2, thresholds=(), samples=()), infer(4, stop_after_ns=(1, 1)), infer(3)
    )
    assert {host.expect(m.Failed).number for _ in range(3)} == {1, 2, 4}
    host.expect(m.Done)
    host.send(m.LoadModel(9, "x", ("../../etc/passwd",), "echo", {}, 1))
    assert not host.expect(m.Loaded).ok
    host.send(m.LoadModel(10, "x", (), "tea", {}, 1))
    assert "no runtime" in host.expect(m.Loaded).text
