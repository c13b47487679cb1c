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
    host.expect(m.Accepted, where=lambda a: a.action == 2)
    host.send(m.UnloadModel(8, "echo"))
    failed = host.expect(m.Failed)
    assert (failed.number, failed.code) == (2, "unloaded")
    assert host.expect(m.Done).action == 1
    assert host.expect(m.Loaded).ok
    host.send(infer(3))
    assert host.expect(m.Failed).code == "no-model"


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
