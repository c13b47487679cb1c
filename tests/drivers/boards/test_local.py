from __future__ import annotations

import hashlib

import numpy as np
import pytest

from drivers.boards.local import local
from testbed.contracts.board import BoardContract, Listener
from testbed.errors import ConfigError, LinkError
from testbed.model import event as ev
from testbed.model.action import ExitRule, Infer, Item, Load
from testbed.model.lab import ModelFiles

BOUND_S = 20


class TestLocalBoard(BoardContract):
    @pytest.fixture
    def board(self, make_spec):
        return local(make_spec())

    @pytest.fixture
    def kill(self, kill_child):
        return kill_child


def onnx_model(path, classes=10, seed=0):
    """A linear classifier of 28 x 28 pixels, and what it answers."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(seed).normal(0, 0.002, (784, classes)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["input"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["cast"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)

    def answer(inputs):
        logits = inputs.reshape(len(inputs), -1).astype(np.float32) @ weights
        return logits.argmax(axis=1)

    return answer


async def test_a_real_model_answers_as_it_should(make_spec, tmp_path):
    answer = onnx_model(tmp_path / "linear.onnx")
    digest = hashlib.sha256((tmp_path / "linear.onnx").read_bytes()).hexdigest()
    files = ModelFiles(name="linear", task="t", paths=(tmp_path / "linear.onnx",), sha256=(digest,))
    board, heard = local(make_spec(models={"linear": files}, threads=1)), Listener()
    facts = await board.open(heard)
    assert facts.origin == "measured"
    board.send(Load(id=1, board="board", model="linear"))
    loaded = await heard.fate(1, BOUND_S)
    assert isinstance(loaded, ev.Loaded), loaded
    inputs = np.random.default_rng(1).integers(0, 256, (4, 1, 28, 28), dtype=np.uint8)
    batch = tuple(Item(request=i, exit=ExitRule.at(0)) for i in range(4))
    board.send(Infer(id=2, board="board", model="linear", batch=batch), inputs, (0, 1, 2, 3))
    executed = await heard.fate(2, BOUND_S)
    assert isinstance(executed, ev.Executed), executed
    results = executed.execution.items
    assert [item.label for item in results] == answer(inputs).tolist()
    for item in results:
        assert item.scores is not None
        assert item.confidence == max(item.scores)
        assert sum(item.scores) == pytest.approx(1, abs=1e-5)
    await board.close()


async def test_a_model_file_with_another_hash_is_refused(make_spec, tmp_path):
    spec = make_spec()
    spec.models["quick"].paths[0].write_bytes(b"something else")
    board, heard = local(spec), Listener()
    await board.open(heard)
    board.send(Load(id=1, board="board", model="quick"))
    failed = await heard.fate(1, BOUND_S)
    assert isinstance(failed, ev.Failed)
    assert "hashes to" in failed.error
    await board.close()


async def test_an_interpreter_that_is_not_there_cannot_be_opened(make_spec):
    board = local(make_spec(python="/no/such/python"))
    with pytest.raises(LinkError, match="cannot start"):
        await board.open(Listener())


async def test_a_program_that_is_no_agent_cannot_be_opened(make_spec):
    board = local(make_spec(python="/bin/false"))
    with pytest.raises(LinkError, match="ended with status 1"):
        await board.open(Listener())


def test_unknown_option_names_file_and_key(make_spec):
    with pytest.raises(ConfigError, match="nice") as caught:
        local(make_spec(nise=3))
    assert caught.value.key == "boards.board.nise"
    assert str(caught.value.file).endswith("lab.toml")


async def test_checks_tell_every_step(make_spec):
    results = [result async for result in local(make_spec()).checks()]
    steps = ["link", "agent", "runtime", "meter", "power mode", "clock", "models"]
    assert [result.step for result in results] == steps
    assert {result.state for result in results} <= {"ok", "skipped"}


async def test_checks_stop_at_the_first_failure_and_stay_complete(make_spec):
    results = [result async for result in local(make_spec(python="/no/such/python")).checks()]
    assert (results[0].step, results[0].state) == ("link", "failed")
    assert results[0].cure
    assert all(result.state == "skipped" for result in results[1:])
    assert len(results) == 7


async def test_a_relay_makes_the_way_longer_and_says_so(make_spec):
    board, heard = local(make_spec(relay={"delay_ms": 20.0, "rate_mbit": 100.0})), Listener()
    facts = await board.open(heard)
    assert (facts.origin, facts.link_origin) == ("measured", "emulated")
    await board.probe(2)
    (seen,) = heard.of(ev.NetworkSeen)
    assert seen.rtt >= 40_000_000
    assert seen.up_bytes_per_s == 12.5e6
    await board.close()
