"""The runtime as the executor uses it, on a logic behind the project's own protocol."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.program_file import ProgramError
from drivers.agent.runtimes.overlay.runtime import OverlayRuntime
from testbed.wire import Tensor
from testbed.wire.messages import CANCELLED_EXIT
from tests.drivers.agent.runtimes.overlay.conftest import MANIFEST, toy

OPTIONS = {"overlay": MANIFEST, "timeout_ms": 200}


@pytest.fixture
def opened():
    return []


@pytest.fixture
def runtime(board, opened):
    def open_logic(manifest, files):
        opened.append((manifest.name, list(files)))
        return board.logic

    return OverlayRuntime(open_logic)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(toy())
    return str(path)


def pictures(*pixels):
    batch = np.zeros((len(pixels), 1, 4, 5), np.uint8)
    for picture, (first, second) in zip(batch, pixels, strict=True):
        picture[0, 0, 0], picture[0, 0, 1] = first, second
    return Tensor("uint8", batch.shape, batch.tobytes())


def run(runtime, tensor, thresholds=((),), stop=None, cancelled=frozenset(), model="m"):
    n = tensor.shape[0]
    rules = thresholds * n if len(thresholds) == 1 else thresholds
    return runtime.run(model, 0, (tensor,), rules, stop or (0,) * n, (-1,) * n, lambda: cancelled)


def scores(outcome):
    return np.frombuffer(outcome.outputs[0].data, np.float32).reshape(outcome.outputs[0].shape)


def test_a_batch_goes_through_item_by_item(runtime, file):
    info = runtime.load("m", [file], OPTIONS, 1)
    assert info.memory_bytes == 192 + 160 + 192
    assert "100 MHz" in info.text
    outcome = run(runtime, pictures((0, 20), (1, 20), (5, 40)))
    assert outcome.exits == [1, 1, 1]
    rows = scores(outcome)
    assert rows.argmax(axis=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-6)
    assert rows[0, 0] == pytest.approx(1 / (1 + 2 * np.exp(-2)), abs=1e-4)


def test_cycles_stalls_and_the_hosts_time_are_told_apart(runtime, file):
    runtime.load("m", [file], OPTIONS, 1)
    report = run(runtime, pictures((0, 20), (1, 20))).report
    assert report["pl_cycles"] == 4000
    assert report["bus_stalls"] == 14
    assert report["pl_ns"] == 40_000
    assert report["host_ns"] >= 0


def test_lost_rows_reach_the_overlays_mask(runtime, file, board):
    runtime.load("m", [file], OPTIONS, 1)
    tensor = pictures((0, 20))  # the toy's neutral value is that of pixel 0, and so are rows 1 to 3
    outcome = runtime.run("m", 0, (tensor,), ((),), (0,), (-1,), frozenset, 0b1101)
    assert board.starts[-1].mask == 0b1100  # row 0 holds something
    assert outcome.report["rows_masked"] == 2
    assert "rows_masked" not in run(runtime, tensor).report
    assert board.starts[-1].mask == 0


def test_each_item_leaves_by_its_own_threshold(runtime, file):
    runtime.load("m", [file], OPTIONS, 1)
    sure = float(scores(run(runtime, pictures((0, 20))))[0, 0])
    tensor = pictures((0, 20), (0, 20), (0, 20))
    assert run(runtime, tensor, ((sure - 1e-4,), (sure + 1e-4,), ())).exits == [0, 1, 1]
    assert run(runtime, tensor, ((0.0,), (2.0,), (float("nan"),))).exits == [0, 1, 1]


def test_a_limit_on_time_leaves_at_the_first_exit_behind_it(runtime, file):
    runtime.load("m", [file], OPTIONS, 1)
    assert run(runtime, pictures((0, 1), (0, 1), (0, 1)), stop=(1, 10**12, 0)).exits == [0, 1, 1]


def test_what_is_cancelled_is_not_executed(runtime, file, board):
    runtime.load("m", [file], OPTIONS, 1)
    outcome = run(runtime, pictures((0, 9), (1, 9)), cancelled=frozenset({0}))
    assert outcome.exits == [CANCELLED_EXIT, 1]
    assert not scores(outcome)[0].any()
    assert sum(start.commands > 1 for start in board.starts) == 1


def test_the_overlay_is_loaded_once_for_all_models(runtime, tmp_path, file, opened, board):
    other = tmp_path / "other"
    other.write_bytes(toy(mark=3))
    runtime.load("m", [file, "bit", "hwh"], OPTIONS, 1)
    runtime.load("n", [str(other), "bit", "hwh"], OPTIONS, 1)
    assert opened == [("edge-npu", ["bit", "hwh"])]
    taken = board.fabric.arena.taken_bytes
    run(runtime, pictures((0, 9)), model="n")
    run(runtime, pictures((0, 9)))
    assert board.fabric.arena.taken_bytes == taken  # nothing is allocated on the way of a request
    runtime.unload("n")
    runtime.unload("n")
    assert board.fabric.arena.taken_bytes == taken // 2


def test_another_overlay_replaces_it_with_all_that_was_loaded(runtime, file, opened, board):
    runtime.load("m", [file], OPTIONS, 1)
    runtime.load("n", [file], {"overlay": {**MANIFEST, "bitstream_sha256": "1" * 64}}, 1)
    assert len(opened) == 2
    with pytest.raises(KeyError):
        run(runtime, pictures((0, 9)))
    assert run(runtime, pictures((0, 9)), model="n").exits == [1]


def test_files_that_lie_on_the_board_are_named_by_folder(runtime, file, opened):
    options = {**OPTIONS, "folder": "/srv/overlays", "bitstream": "a.bit", "hwh": "a.hwh"}
    runtime.load("m", [file], options, 1)
    assert opened[0][1] == ["/srv/overlays/a.bit", "/srv/overlays/a.hwh"]


def test_a_failure_is_the_requests_and_the_next_one_works(runtime, file, board):
    runtime.load("m", [file], OPTIONS, 1)
    board.fabric.break_("hung")
    with pytest.raises(OverlayError, match="brought back by reload"):
        run(runtime, pictures((0, 9)))
    assert run(runtime, pictures((2, 9))).exits == [1]
    assert runtime.facts()["recovered"] == {"soft reset": 0, "reload": 1}


def test_what_cannot_be_loaded_says_why(runtime, file, tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(toy()[:-1] + b"x")
    with pytest.raises(ProgramError, match="hashes"):
        runtime.load("m", [str(broken)], OPTIONS, 1)
    with pytest.raises(OverlayError, match="without its program"):
        runtime.load("m", [], OPTIONS, 1)
    with pytest.raises(OverlayError, match="manifest"):
        runtime.load("m", [file], {}, 1)
    with pytest.raises(OverlayError, match="no overlay of kind 'dpu'"):
        runtime.load("m", [file], {"overlay": {**MANIFEST, "kind": "dpu"}}, 1)
    with pytest.raises(ValueError, match="one lane"):
        runtime.load("m", [file], OPTIONS, 2)


def test_a_batch_of_another_size_is_refused(runtime, file):
    runtime.load("m", [file], OPTIONS, 1)
    with pytest.raises(ValueError, match="batch of 2"):
        runtime.run("m", 0, (pictures((0, 1)),), ((), ()), (0, 0), (-1, -1), frozenset)


def test_facts_before_and_after(runtime, file):
    assert runtime.facts()["available"] is True
    runtime.load("m", [file], OPTIONS, 1)
    facts = runtime.facts()
    assert (facts["overlay"], facts["clock_hz"], facts["rows"]) == ("edge-npu", 100e6, 16)


def test_without_pynq_it_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynq", None)
    facts = OverlayRuntime().facts()
    assert facts["available"] is False
    assert "pynq" in str(facts["reason"])
