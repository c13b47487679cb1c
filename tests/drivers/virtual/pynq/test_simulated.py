"""The same tests on every back end: registers behind our own protocol, pynq's own device, a board over PYNQ.remote."""

from __future__ import annotations

import pytest

from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.manifest import read_manifest
from drivers.virtual.pynq.simulated import fabric_of, plain_logic
from testbed.model import event as ev
from tests.drivers.virtual.pynq.conftest import MODEL, needs_pynq, needs_rtl

pytestmark = pytest.mark.timeout(120)
WAYS = ["plain", pytest.param("pynq", marks=needs_pynq), pytest.param("remote", marks=needs_pynq)]


def loaded_and_executed(fates):
    load, *executed = fates
    assert isinstance(load, ev.Loaded), load
    assert "100 MHz" in load.text
    return executed


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_the_integer_models_on_every_back_end(simulated, way, images, expected):
    one, two = loaded_and_executed(simulated(way).ask(images[:1], images[1:]))
    items = [*one.execution.items, *two.execution.items]
    assert [item.label for item in items] == [result.label for result in expected]
    for item, result in zip(items, expected, strict=True):
        assert item.confidence == pytest.approx(32768 / result.total, rel=1e-6)
        assert sum(item.scores) == pytest.approx(1, abs=1e-5)
    assert {"pl_cycles", "bus_stalls", "pl_ns", "host_ns"} <= set(one.execution.notes)


@needs_rtl
@pytest.mark.parametrize("way", WAYS)
def test_on_the_rtl_answers_are_the_same_and_cycles_are_its_own(simulated, way, images, expected, program):
    executed = loaded_and_executed(simulated(way, "hung@4", answers="rtl").ask(*images[:4, None]))
    assert isinstance(executed[2], ev.Failed)
    for number in (0, 1, 3):
        done = executed[number].execution
        assert done.items[0].label == expected[number].label
        assert done.items[0].confidence == pytest.approx(32768 / expected[number].total, rel=1e-6)
        cycles = done.notes["pl_cycles"]
        assert 0.9 < cycles / program.output.exits[0].cycles < 1.1
        assert 0 < done.notes["bus_stalls"] < cycles


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("fault", "helped"), [("hung", "reload"), ("bus-error", "soft reset")])
def test_an_execution_that_fails_is_told_and_the_next_one_is_right(
    simulated, way, fault, helped, images, expected
):
    # Start 1 sets the weights up, start 2 is the first image.
    good, bad, again = loaded_and_executed(simulated(way, f"{fault}@3").ask(*images[:3, None]))
    assert isinstance(bad, ev.Failed)
    assert f"brought back by {helped}" in bad.error
    for executed, result in ((good, expected[0]), (again, expected[2])):
        assert executed.execution.items[0].label == result.label


@pytest.mark.parametrize("way", WAYS)
def test_another_bitstream_than_the_overlays_is_found_before_anything_runs(simulated, way, images):
    load, executed = simulated(way, "wrong-bitstream").ask(images[:1])
    assert isinstance(load, ev.Failed)
    assert "0x0badf00d" in load.error
    assert isinstance(executed, ev.Failed)


@pytest.mark.hardware("pynq")
def test_answers_are_the_integer_models_on_the_real_board(testbed_lab, images, expected):
    board = next(
        board
        for name in testbed_lab.names
        if (board := testbed_lab.board(name)).kind == "pynq" and MODEL in board.models
    )
    answers = board.infer(images, model=MODEL)
    assert answers.labels == tuple(result.label for result in expected)
    assert answers.confidences == pytest.approx([32768 / result.total for result in expected], rel=1e-6)


def test_without_pynq_board_and_files_are_checked_all_the_same(tmp_path):
    file = tmp_path / "x.bit"
    file.write_bytes(b"bits")
    told = {
        "name": "n",
        "kind": "edge-npu",
        "ip": "npu_0",
        "boards": ["pynq-z2"],
        "bitstream_sha256": "0" * 64,
    }
    open_logic = plain_logic(fabric_of())
    assert open_logic(read_manifest(told), []).clock_hz == 100e6
    with pytest.raises(OverlayError, match="bitstream hashes"):
        open_logic(read_manifest(told), [str(file)])
    with pytest.raises(OverlayError, match="is for zcu104"):
        open_logic(read_manifest({**told, "boards": ["zcu104"]}), [])
