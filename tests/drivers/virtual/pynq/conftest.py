"""A program of the zoo, its images, and a lab of one simulated PYNQ board in any of its forms."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.boards.agent_file import pack_agent
from drivers.boards.board import AgentBoard
from drivers.boards.composition import CommonOptions, Composition
from drivers.boards.programs import SHIPPED
from drivers.boards.pynq import OverlayTable, load_options, overlay_of, with_programs
from drivers.links.local import LocalLink
from drivers.npu.golden import Golden
from drivers.npu.program import read
from drivers.npu.verilated import SimulatorMissing, find_verilator
from drivers.virtual.pynq.bitfile import placeholder
from testbed.contracts.board import Listener
from testbed.model.action import ExitRule, Infer, Item, Load
from testbed.model.lab import BoardSpec, ModelFiles

ROOT = Path(__file__).parents[4]
PYNQ = ROOT / ".venv-pynq/bin/python"
HWH = ROOT / "bitstreams/edge-npu/edge-npu.hwh"
MODEL = "resnet8-int8"
ZOO = ROOT / "testbed/zoo/fashion-mnist"
NO_PYNQ = "no .venv-pynq with pynq in it: `make pynq`"
MANIFEST = """
schema = 1
name = "edge-npu"
kind = "edge-npu"
ip = "npu_0"
[[build]]
boards = ["pynq-z2"]
bitstream = "edge-npu.bit"
bitstream_sha256 = "{bit}"
hwh = "edge-npu.hwh"
hwh_sha256 = "{hwh}"
"""


def _why_no_rtl() -> str:
    try:
        find_verilator()
    except SimulatorMissing as error:
        return str(error)
    return "" if shutil.which("g++") else "g++ is not installed"


needs_rtl = pytest.mark.skipif(bool(_why_no_rtl()), reason=_why_no_rtl())
needs_pynq = pytest.mark.skipif(not (PYNQ.is_file() and HWH.is_file()), reason=NO_PYNQ)


@pytest.fixture(scope="session")
def program():
    return read(SHIPPED / f"{MODEL}.npu")


@pytest.fixture(scope="session")
def images():
    """Six test images, uint8 (6, 1, 28, 28)."""
    with np.load(ZOO / "test.npz") as stored:
        return stored["images"][:6].reshape(6, 1, 28, 28)


@pytest.fixture(scope="session")
def expected(program, images):
    """What the integer model says of them."""
    levels = np.array(program.input.map, np.int8)
    words = np.full((len(images), program.input.groups, 28, 28, 8), program.input.neutral, np.int8)
    words[:, 0, :, :, 0] = levels[images[:, 0]]
    return Golden(program).run(words.reshape(len(images), -1), [0xFFFFFFFF])


def environment(**more: str) -> dict[str, str]:
    """Ours, with one thread for matrix products: two that share busy cores wait for each other."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **more}


class Simulated:
    """A simulated board as a lab has it, and a way to ask it without asyncio."""

    def __init__(self, folder: Path, way: str, faults: tuple[str, ...] = (), answers: str = "golden") -> None:
        self.folder, self.way, self.answers = folder, way, answers
        self.orders = [word for fault in faults for word in ("--fault", fault)]
        self.remote: subprocess.Popen[str] | None = None

    def _argv(self) -> tuple[list[str], dict[str, str]]:
        rest = ["--stdio", "--state", str(self.folder / "state")]
        how = ["--answers", self.answers, *self.orders]
        if self.way == "remote":
            address = "127.0.0.2"
            command = [str(PYNQ), "-m", "drivers.virtual.pynq.remote", address, *how]
            pipe = subprocess.PIPE
            self.remote = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, env=environment(), cwd=ROOT, text=True
            )
            assert self.remote.stdout is not None
            assert json.loads(self.remote.stdout.readline())["address"] == address
            return [str(PYNQ), str(pack_agent(self.folder)), *rest], environment(PYNQ_REMOTE_DEVICES=address)
        python = str(PYNQ) if self.way == "pynq" else sys.executable
        command = [python, "-m", "drivers.virtual.pynq.simulated", self.way, *how, "--", *rest]
        return command, environment()

    def spec(self) -> tuple[BoardSpec, OverlayTable]:
        """A board whose overlay lies in a folder of its own, with a bitstream that configures nothing."""
        overlay = self.folder / "overlay"
        overlay.mkdir(parents=True, exist_ok=True)
        pins = {}
        for name, data in (
            ("bit", placeholder("edge_npu")),
            ("hwh", HWH.read_bytes() if HWH.is_file() else b""),
        ):
            (overlay / f"edge-npu.{name}").write_bytes(data)
            pins[name] = hashlib.sha256(data).hexdigest()
        (overlay / "overlay.toml").write_text(MANIFEST.format(**pins))
        network = ZOO / f"{MODEL}.onnx"
        sha256 = hashlib.sha256(network.read_bytes()).hexdigest()
        spec = BoardSpec(
            id="z2",
            kind="pynq",
            site="edge",
            options={},
            file=self.folder / "lab.toml",
            models={MODEL: ModelFiles(name=MODEL, task="t", paths=(network,), sha256=(sha256,))},
            profiles={},
            state=self.folder,
            fence=time.time_ns(),
        )
        return spec, OverlayTable(manifest="overlay/overlay.toml", board="pynq-z2", timeout_ms=1500)

    def board(self) -> AgentBoard:
        """Composed as the real kind, but for the link: the agent is a child of this process."""
        spec, table = self.spec()
        chosen = overlay_of(spec, table)
        chosen.check()
        argv, env = self._argv()
        return AgentBoard(
            with_programs(spec, table, chosen, files=True),
            Composition(
                kind="pynq",
                make_link=lambda: LocalLink(argv, env=env),
                runtime="overlay",
                load_options=load_options(table, chosen),
                common=CommonOptions(timeout_ms=60_000, connect_timeout_ms=30_000),
            ),
        )

    def ask(self, *batches: Any) -> list[Any]:
        """Load the model, run batch after batch, close; the events, the load's first."""

        async def whole() -> list[Any]:
            heard = Listener()
            board = self.board()
            try:
                await board.open(heard)
                board.send(Load(id=1, board="z2", model=MODEL, instances=1))
                fates = [await heard.fate(1, 60.0)]
                for number, batch in enumerate(batches, start=2):
                    items = tuple(Item(request=number * 100 + i, exit=ExitRule()) for i in range(len(batch)))
                    board.send(
                        Infer(id=number, board="z2", model=MODEL, batch=items), batch, (-1,) * len(batch)
                    )
                    fates.append(await heard.fate(number, 60.0))
                return fates
            finally:
                await board.close()

        try:
            return asyncio.run(whole())
        finally:
            self.end()

    def end(self) -> None:
        """The remote board's process ends with its input."""
        if self.remote is not None:
            self.remote.communicate(timeout=10)
            self.remote = None


@pytest.fixture
def simulated(tmp_path):
    made: list[Simulated] = []

    def make(way: str, *faults: str, answers: str = "golden") -> Simulated:
        made.append(Simulated(tmp_path / f"{way}{len(made)}", way, faults, answers))
        return made[-1]

    yield make
    for one in made:
        one.end()
