"""One request through the whole coordinator: policy, core, wire, OpenSSH, the agent's echo runtime, record on disk."""

from __future__ import annotations

import asyncio
import datetime
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers import Login
from drivers.boards.board import AgentBoard
from drivers.boards.ssh_board import SshOptions, ssh_composition
from testbed.coordinator.core import Core
from testbed.coordinator.live import LiveTrial
from testbed.coordinator.state import BoardSetup
from testbed.model import event as ev
from testbed.model.action import Load
from testbed.model.lab import BoardSpec, ModelFiles
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, ProfileBook, Quantity, Service
from testbed.model.record import TrialStatus
from testbed.model.request import Outcome, Request
from testbed.policy import PolicySettings
from testbed.policy.edge_only import edge_only
from testbed.store.schema import Header, TrialStart
from testbed.store.writer import RunWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from drivers.boards.composition import Composition
    from testbed.model.action import Infer
    from testbed.model.record import RequestRecord
    from testbed.ports import Board, BoardEvent, Payload

BOARD, MODEL, TASK = "far", "echo", "image-classification/echo"
CLASSES = 10
_LOAD_S = 30.0


class WholeCoordinator:
    """Ours, as `testbed run` puts it together for a trial, without the campaign around it."""

    name = "whole coordinator (ours)"

    def __init__(self, login: Login, folder: Path) -> None:
        """Not connected yet; ``folder`` takes the agent and the run."""
        self._login = login
        self._folder = folder
        self._inputs: dict[int, Payload] = {}
        self._payloads: list[bytes] = []
        self._requests = 0
        self._closed: Callable[[RequestRecord], None] = lambda _: None
        self._loaded: asyncio.Future[BoardEvent] | None = None
        self._up: ev.BoardUp | None = None
        self._shell: LiveTrial | None = None

    async def open(self) -> None:
        """Deploy the agent, load the echo, begin a trial."""
        files = ModelFiles(
            name=MODEL, task=TASK, paths=(), sha256=(), runtime="echo", options={"classes": CLASSES}
        )
        spec = BoardSpec(
            id=BOARD,
            kind="ssh",
            site="edge",
            options={},
            file=self._folder / "lab.toml",
            models={MODEL: files},
            profiles={},
            state=self._folder,
            fence=time.time_ns(),
        )
        self._board = AgentBoard(spec, self._composition(spec))
        self._loaded = asyncio.get_running_loop().create_future()
        await self._board.open(self._on_event)
        self._board.send(Load(id=1 << 48, board=BOARD, model=MODEL))
        async with asyncio.timeout(_LOAD_S):
            await self._loaded
        self._begin()
        assert self._up is not None
        known = ev.BoardUp(t=0, board=BOARD, boot=self._up.boot, resident=((MODEL, 1),))
        assert self._shell is not None
        await self._shell.prepare([known])

    async def block(self, payload: bytes, n: int) -> list[int]:
        """One after the other: from handing the request over to its record being written."""
        assert self._shell is not None
        shell, sample = self._shell, self._sample(payload)
        took: list[int] = []
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        begun = 0

        def ask() -> None:
            nonlocal begun
            begun = time.monotonic_ns()
            shell.submit(self._request(sample))

        def closed(record: RequestRecord) -> None:
            took.append(time.monotonic_ns() - begun)
            if record.outcome is not Outcome.COMPLETED:
                done.set_exception(RuntimeError(f"{record.outcome}: {record.reason}"))
            elif len(took) < n:
                loop.call_soon(ask)
            else:
                done.set_result(None)

        self._closed = closed
        ask()
        await done
        return took

    async def pipelined(self, payload: bytes, n: int, window: int) -> int:
        """``n`` requests with ``window`` under way: the time for all of them [ns]."""
        assert self._shell is not None
        shell, sample = self._shell, self._sample(payload)
        done = asyncio.get_running_loop().create_future()
        left = deque(range(n))
        answers = 0

        def closed(record: RequestRecord) -> None:
            nonlocal answers
            answers += 1
            if record.outcome is not Outcome.COMPLETED:
                done.set_exception(RuntimeError(f"{record.outcome}: {record.reason}"))
            elif left:
                left.popleft()
                shell.submit(self._request(sample))
            elif answers == n:
                done.set_result(None)

        self._closed = closed
        begun = time.monotonic_ns()
        for _ in range(min(window, n)):
            left.popleft()
            shell.submit(self._request(sample))
        await done
        return time.monotonic_ns() - begun

    async def close(self) -> None:
        """End the trial and the board."""
        if self._shell is not None:
            self._shell.finish()
            self._journal.end(TrialStatus.OK)
            self._run.close()
        await self._board.close()

    def write(self, entry: RequestRecord) -> None:
        """Be the record sink: into the journal, then tell whoever waits."""
        self._journal.write(entry)
        self._closed(entry)

    def _composition(self, spec: BoardSpec) -> Composition:
        login = self._login
        options = SshOptions(
            host=login.host,
            port=login.port,
            user=login.user,
            transport="openssh",
            identity=login.identity,
            known_hosts=login.known_hosts,
            python=sys.executable,
            folder=str(self._folder / "far"),
        )
        return ssh_composition(spec, options)

    def _begin(self) -> None:
        profile = _profile()
        profiles = ProfileBook({(BOARD, MODEL): profile})
        settings = PolicySettings(sites={"edge": (BOARD,)}, models={BOARD: (MODEL,)}, profiles=profiles)
        policy = edge_only(settings)
        core = Core(
            policy,
            [BoardSetup(id=BOARD, kind="ssh", site="edge")],
            profiles,
            lambda request, _: len(self._payloads[request.sample]),
            truth=lambda _: 0,
        )
        header = Header(
            run="dispatch",
            created=datetime.datetime.now(datetime.UTC).isoformat(),
            experiment="dispatch",
            experiment_path="",
            policies=("edge-only",),
            planned=(),
            campaign={},
            lab_file="",
            lab_text="",
            lab_sha256="",
        )
        self._run = RunWriter.create(self._folder / "run", header)
        self._journal = self._run.begin(
            TrialStart(
                trial="00-edge-only",
                policy="edge-only",
                block=0,
                seed=0,
                arrivals_sha256="",
                requests=0,
                t0=time.monotonic_ns(),
                wall=header.created,
            )
        )
        self._shell = LiveTrial(core, policy, self._boards(), self._batch, self, events=self._journal.events)

    def _boards(self) -> Mapping[str, Board]:
        return {BOARD: self._board}

    def _sample(self, payload: bytes) -> int:
        if payload not in self._payloads:
            self._payloads.append(payload)
            self._inputs[len(self._payloads) - 1] = np.frombuffer(payload, np.uint8).reshape(1, -1)
        return self._payloads.index(payload)

    def _request(self, sample: int) -> Request:
        self._requests += 1
        return Request(
            id=self._requests, task=TASK, sample=sample, arrival=time.monotonic_ns(), min_accuracy=0.5
        )

    def _batch(self, _: Infer, samples: tuple[int, ...]) -> Payload:
        return self._inputs[samples[0]]

    def _on_event(self, event: BoardEvent) -> None:
        if isinstance(event, ev.BoardUp):
            self._up = event
        if self._shell is not None:
            self._shell.on_event(event)
        elif isinstance(event, ev.Loaded | ev.Failed) and self._loaded is not None:
            self._loaded.set_result(event)


def _profile() -> HwProfile:
    assumed = "the echo does nothing; only the policy's arithmetic uses this"
    return HwProfile(
        schema=1,
        board=BOARD,
        model=MODEL,
        task=TASK,
        service=(Service(batch=1, p=(0.5, 0.95), ms=(0.05, 0.1), origin=Origin.ASSUMED, source=assumed),),
        accuracy=(Quantity(value=0.9, origin=Origin.ASSUMED, source=assumed),),
    )
