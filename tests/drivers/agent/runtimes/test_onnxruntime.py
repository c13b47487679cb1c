from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from drivers.agent.runtimes.onnxruntime import OnnxRuntime
from testbed.wire import Tensor
from testbed.wire import messages as m

ZOO = Path(__file__).parents[4] / "testbed/zoo/fashion-mnist"
SINGLE = ZOO / "cnn-small.onnx"
PARTS = [ZOO / f"resnet8-ee.part{k}.onnx" for k in range(3)]
RNG = np.random.default_rng(1)
IMAGES = RNG.integers(0, 256, (6, 1, 28, 28), np.uint8)


def tensor(array):
    return Tensor(str(array.dtype), array.shape, array.tobytes())


def array(tensor):
    return np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)


def run(runtime, thresholds, images=IMAGES, cancelled=frozenset, stop_after_ns=None):
    n = len(thresholds)
    stops = stop_after_ns or (0,) * n
    return runtime.run("m", 0, (tensor(images),), thresholds, stops, (-1,) * n, cancelled)


@pytest.fixture(scope="module")
def chain():
    runtime = OnnxRuntime()
    runtime.load("m", [str(p) for p in PARTS], {"threads": 1}, 1)
    return runtime


def reference(images):
    features = {"image": images}
    exits = []
    for k, path in enumerate(PARTS):
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        values = session.run(names, {i.name: features[i.name] for i in session.get_inputs()})
        features = dict(zip(names, values, strict=True))
        exits.append(features[f"exit{k}"] if f"exit{k}" in features else features["probabilities"])
    return exits


def test_a_single_graph_gives_probabilities():
    runtime = OnnxRuntime()
    info = runtime.load("m", [str(SINGLE)], {"threads": 2, "spin": False}, 2)
    assert "CPUExecutionProvider" in info.text
    outcome = run(runtime, ((0.0,),) * 6)
    session = ort.InferenceSession(str(SINGLE), providers=["CPUExecutionProvider"])
    want = session.run(["probabilities"], {"image": IMAGES})[0]
    np.testing.assert_allclose(array(outcome.outputs[0]), want, rtol=1e-5, atol=1e-6)
    assert outcome.exits == [0] * 6
    runtime.unload("m")


def test_without_thresholds_everything_runs_to_the_last_exit(chain):
    outcome = run(chain, ((),) * 6)
    assert outcome.exits == [2] * 6
    np.testing.assert_allclose(array(outcome.outputs[0]), reference(IMAGES)[2], rtol=1e-4, atol=1e-5)


def test_confident_items_leave_and_the_rest_go_on(chain):
    exits = reference(IMAGES)
    best = exits[0].max(axis=1)
    middle = float(np.sort(best)[2:4].mean())
    outcome = run(chain, ((middle, 2.0),) * 6)
    assert outcome.exits == [0 if b >= middle else 2 for b in best]
    want = np.where((best >= middle)[:, None], exits[0], exits[2])
    np.testing.assert_allclose(array(outcome.outputs[0]), want, rtol=1e-4, atol=1e-5)
    assert len(outcome.report["exit_ns"]) == 3
    assert run(chain, ((0.0,),) * 6).report["exit_ns"][1:] == []


def test_thresholds_are_of_each_item(chain):
    assert run(chain, ((0.0,), (2.0, 0.0), (), (2.0,), (0.0,), (2.0, 2.0))).exits == [0, 1, 2, 2, 0, 2]


def test_an_item_leaves_at_the_first_exit_after_its_time(chain):
    assert run(chain, ((),) * 6, stop_after_ns=(1,) * 6).exits == [0] * 6
    assert run(chain, ((2.0, 2.0),) * 6, stop_after_ns=(10**15,) * 6).exits == [2] * 6
    assert run(chain, ((0.0,),) * 6, stop_after_ns=(10**15,) * 6).exits == [0] * 6  # confident before that
    mixed = run(chain, ((),) * 6, stop_after_ns=(0, 1, 10**15, 1, 0, 10**15))
    assert mixed.exits == [2, 0, 2, 0, 2, 2]
    exits = reference(IMAGES)
    want = np.where(np.array(mixed.exits)[:, None] == 0, exits[0], exits[2])
    np.testing.assert_allclose(array(mixed.outputs[0]), want, rtol=1e-4, atol=1e-5)


def test_a_time_that_ends_in_the_middle_stops_in_the_middle(chain, monkeypatch):
    from drivers.agent.runtimes import onnxruntime as room

    stamps = iter([0, 100, 200, 300])
    monkeypatch.setattr(room.time, "monotonic_ns", lambda: next(stamps))
    assert run(chain, ((),) * 6, stop_after_ns=(0, 100, 101, 200, 201, 999)).exits == [2, 0, 1, 1, 2, 2]


def test_cancelled_items_leave_between_exits(chain):
    asked = iter([frozenset(), frozenset({1, 4})])
    outcome = run(chain, ((),) * 6, cancelled=lambda: next(asked, frozenset({1, 4})))
    assert outcome.exits == [2, m.CANCELLED_EXIT, 2, 2, m.CANCELLED_EXIT, 2]
    assert not array(outcome.outputs[0])[[1, 4]].any()
    nothing = run(chain, ((),) * 6, cancelled=lambda: frozenset(range(6)))
    assert nothing.exits == [m.CANCELLED_EXIT] * 6
    assert nothing.outputs == ()


def test_what_does_not_fit_is_refused(chain):
    with pytest.raises(ValueError, match="batch"):
        run(chain, ((),) * 3)
    with pytest.raises(ValueError, match="CUDA"):
        OnnxRuntime().load("m", [str(SINGLE)], {"provider": "CUDAExecutionProvider"}, 1)
    with pytest.raises(ValueError, match="file"):
        OnnxRuntime().load("m", [], {}, 1)


def test_a_provider_that_was_asked_for_and_does_not_start_is_no_other(monkeypatch):
    # What onnxruntime does where CUDA is listed but the driver is missing: it goes on with the CPU.
    import onnxruntime as ort

    monkeypatch.setattr(
        ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(ort, "InferenceSession", lambda path, settings, providers: _OnCpu())
    with pytest.raises(ValueError, match="could only start CPUExecutionProvider"):
        OnnxRuntime().load("m", [str(SINGLE)], {"provider": "CUDAExecutionProvider"}, 1)


class _OnCpu:
    def get_providers(self):
        return ["CPUExecutionProvider"]


def test_facts_name_the_provider():
    facts = OnnxRuntime().facts()
    assert facts["available"]
    assert facts["chosen"] in facts["providers"]


def test_through_a_real_agent(start):
    host = start()
    host.greet()
    parts = [host.put(path.read_bytes()) for path in PARTS]
    loaded = host.load("ee", "onnxruntime", parts, threads=1)
    assert loaded.load_ns > 0
    host.send(m.Infer(1, "ee", 0, ((0.0,), ()), (), (0, 1), tensor(IMAGES[:2])))
    done = host.expect(m.Done)
    assert done.exits == (0, 2)
    assert done.outputs[0].shape == (2, 10)
    host.send(m.Infer(2, "ee", 0, ((), ()), (0, 1), (0, 1), tensor(IMAGES[:2])))
    assert host.expect(m.Done).exits == (2, 0)
