"""An overlay of others, as docs/pynq-boards.md tells it, with golden answers made up here, on a simulated board."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
import time

import numpy as np
import pytest

from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.manifest import read_manifest
from drivers.agent.runtimes.overlay.runtime import OverlayRuntime
from drivers.boards.board import AgentBoard
from drivers.boards.composition import CommonOptions, Composition
from drivers.boards.overlay_file import choose, read_overlay
from drivers.boards.pynq import OverlayTable, load_options, overlay_of, with_programs
from drivers.links.local import LocalLink
from drivers.virtual.pynq.golden_stream import GoldenStreamLogic
from testbed.contracts.board import Listener
from testbed.model import event as ev
from testbed.model.action import Infer, Item, Load
from testbed.model.lab import BoardSpec, ModelFiles
from testbed.wire import Tensor
from tests.drivers.virtual.pynq.conftest import ROOT, environment

pytestmark = pytest.mark.timeout(120)
RNG = np.random.default_rng(5)
INPUT = RNG.integers(0, 256, (3, 784), np.uint8)
OUTPUT = RNG.dirichlet(np.ones(10), 3).astype(np.float32)


@pytest.fixture
def overlay(tmp_path):
    """The example of the documentation, word for word but for the hashes, with the files that it names."""

    def make(given=INPUT, told=OUTPUT, **changes):
        text = (ROOT / "docs/pynq-boards.md").read_text("utf-8")
        (example,) = re.findall(r"```toml\n(schema = 1\nname = .mnist-mlp.*?)```", text, re.DOTALL)
        np.savez(tmp_path / "golden.npz", input=given, output=told)
        (tmp_path / "hls4ml_nn.bit").write_bytes(b"configures nothing")
        (tmp_path / "hls4ml_nn.hwh").write_bytes(b"<x/>")
        pins = iter(("hls4ml_nn.bit", "hls4ml_nn.hwh", "golden.npz"))
        pinned = re.sub(
            r'"\.\.\."',
            lambda _: f'"{hashlib.sha256((tmp_path / next(pins)).read_bytes()).hexdigest()}"',
            example,
        )
        assert next(pins, None) is None
        for old, new in changes.items():
            pinned = pinned.replace(old, new)
        (tmp_path / "overlay.toml").write_text(pinned)
        return tmp_path / "overlay.toml"

    return make


@pytest.fixture
def board(tmp_path, overlay):
    def make(**changes):
        file = overlay(**changes)
        spec = BoardSpec(
            id="z2",
            kind="pynq",
            site="edge",
            options={},
            file=tmp_path / "lab.toml",
            models={"mlp": ModelFiles(name="mlp", task="t", paths=(), sha256=())},
            profiles={},
            state=tmp_path,
            fence=time.time_ns(),
        )
        table = OverlayTable(manifest=file.name, board="pynq-z2")
        chosen = overlay_of(spec, table)
        chosen.check()
        rest = ["--", "--stdio", "--state", str(tmp_path / "state")]
        argv = [sys.executable, "-m", "drivers.virtual.pynq.simulated", "stream", *rest]
        return AgentBoard(
            with_programs(spec, table, chosen, files=True),
            Composition(
                kind="pynq",
                make_link=lambda: LocalLink(argv, env=environment()),
                runtime="overlay",
                load_options=load_options(table, chosen),
                common=CommonOptions(timeout_ms=60_000, connect_timeout_ms=30_000),
            ),
        )

    return make


async def ask(board, *inputs):
    heard = Listener()
    try:
        await board.open(heard)
        board.send(Load(id=1, board="z2", model="mlp", instances=1))
        fates = [await heard.fate(1, 60)]
        for number, one in enumerate(inputs, start=2):
            board.send(
                Infer(id=number, board="z2", model="mlp", batch=(Item(request=number),)), one[None], (-1,)
            )
            fates.append(await heard.fate(number, 60))
        return fates
    finally:
        await board.close()


def test_the_documentations_example_loads_is_proved_and_answers(board):
    load, *executed, unknown, again = asyncio.run(ask(board(), *INPUT, np.zeros(784, np.uint8), INPUT[0]))
    assert isinstance(load, ev.Loaded), load
    assert "3 golden answers" in load.text
    for done, wanted in zip([*executed, again], [*OUTPUT, OUTPUT[0]], strict=True):
        np.testing.assert_allclose(done.execution.items[0].scores, wanted, atol=1e-6)
    assert isinstance(unknown, ev.Failed)  # nothing is made up for what has no golden answer
    assert "loaded again" in unknown.error


def test_an_overlay_that_answers_otherwise_is_not_used(overlay):
    file = overlay()
    golden = file.parent / "golden.npz"
    told = choose(read_overlay(file), "pynq-z2", file).manifest
    other = GoldenStreamLogic(read_manifest(told), str(golden))
    other._answers.update(dict.fromkeys(other._answers, np.zeros(10, np.float32).tobytes()))
    runtime = OverlayRuntime(lambda manifest, files: other)
    files = [str(file.parent / name) for name in ("hls4ml_nn.bit", "hls4ml_nn.hwh", "golden.npz")]
    with pytest.raises(OverlayError, match="golden input 0.*is allowed"):
        runtime.load("mlp", files, {"overlay": told}, 1)
    given = Tensor("uint8", (1, 784), INPUT[0].tobytes())
    with pytest.raises(KeyError):
        runtime.run("mlp", 0, (given,), ((),), (0,), (-1,), frozenset)
    assert other._arena.taken_bytes == 0
    np.savez(golden, input=INPUT, output=OUTPUT[::-1])
    with pytest.raises(OverlayError, match="golden answers hashes"):
        runtime.load("mlp", files, {"overlay": told}, 1)


def test_what_holds_no_answers_is_refused(overlay):
    file = overlay(INPUT[:2])  # three answers to two inputs
    told = choose(read_overlay(file), "pynq-z2", file).manifest
    with pytest.raises(OverlayError, match="2 inputs and 3 outputs"):
        GoldenStreamLogic(read_manifest(told), str(file.parent / "golden.npz"))
    with pytest.raises(OverlayError, match="no golden answers"):
        GoldenStreamLogic(read_manifest(told), str(file))
    with pytest.raises(OverlayError, match="no DMA"):
        overlay()
        GoldenStreamLogic(read_manifest(told), str(file.parent / "golden.npz")).channels("dma")
