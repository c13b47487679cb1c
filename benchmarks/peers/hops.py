"""Where the time of a request goes: the whole coordinator again, with a stamp at every hop.

Both ends run on this host, so their monotonic clock is one and stamps can be subtracted. The agent's own end is traced
by ``traced_agent.py``, which puts its stamps into the report of the answer. Stamping costs some microseconds itself, so
these figures are for comparing hops with each other, and the untraced run says what a request takes.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.whole import BOARD, WholeCoordinator
from drivers.boards.composition import CommonOptions, Composition
from drivers.links.endpoint import SshConfig
from drivers.links.ssh_openssh import OpenSshLink
from testbed.model import event as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.model.action import Cancel, Infer, Load
    from testbed.model.lab import BoardSpec
    from testbed.model.record import RequestRecord
    from testbed.ports import Board, BoardEvent, Payload

HOPS = {
    "decide": "request handed over to order given: core and policy",
    "encode": "order given to bytes handed to ssh: driver, message, frame",
    "link_up": "ssh client, sshd, until the agent has read",
    "agent_in": "agent: frame, message, admission, to the start",
    "execute": "agent: the echo runtime",
    "agent_out": "agent: message, frame, to the first byte written",
    "link_down": "sshd, ssh client, until the coordinator has read",
    "decode": "frame, message, to the event",
    "answer": "core and policy, to the finished record",
    "record": "one line of the journal encoded, hashed, written",
}
STAMPS = len(HOPS) + 1


def spans(stamps: list[int]) -> dict[str, int]:
    """Time of each hop [ns] from the stamps at their ends, in order.

    Raises:
        ValueError: another number of stamps.
    """
    if len(stamps) != STAMPS:
        raise ValueError(f"{len(HOPS)} hops have {STAMPS} ends, not {len(stamps)}")
    return {name: stamps[i + 1] - stamps[i] for i, name in enumerate(HOPS)}


class _TracedLink(OpenSshLink):
    """Notes when bytes are handed over and when some arrive."""

    put_at = heard_at = 0

    def put(self, data: bytes) -> None:
        """Note and hand on."""
        self.put_at = time.monotonic_ns()
        super().put(data)

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Note and hand on what arrives."""
        if take is None:
            super().listen(None)
            return
        hand_on = take

        def heard(data: bytes) -> None:
            self.heard_at = time.monotonic_ns()
            hand_on(data)

        super().listen(heard)


class _TracedBoard:
    """Notes when an order is given; everything else is the board's."""

    ordered_at = 0

    def __init__(self, board: Board) -> None:
        self._board = board

    def send(
        self, order: Infer | Load | Cancel, payload: Payload | None = None, samples: tuple[int, ...] = ()
    ) -> None:
        self.ordered_at = time.monotonic_ns()
        self._board.send(order, payload, samples)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the board has
        return getattr(self._board, name)


class TracedCoordinator(WholeCoordinator):
    """Ours with stamps."""

    name = "whole coordinator, traced"

    async def split(self, payload: bytes, n: int) -> dict[str, float]:
        """Median of each hop over ``n`` requests one after the other [us]."""
        await self.block(payload, max(n // 10, 5))
        self._rows: list[list[int]] = []
        self._replied: list[int] = []
        await self.block(payload, n + 1)
        # A reply is written after its report was made, so its stamp comes with the report of the next one.
        found = [
            spans([*row[:6], replied, *row[6:]])
            for row, replied in zip(self._rows, self._replied[1:], strict=False)
        ]
        return {name: statistics.median(row[name] for row in found) / 1e3 for name in HOPS}

    def write(self, entry: RequestRecord) -> None:
        """Gather the stamps of a request that has just ended."""
        made = time.monotonic_ns()
        self._journal.write(entry)
        written = time.monotonic_ns()
        step = entry.steps[-1]
        if step.started is None or step.finished is None:
            raise RuntimeError(f"the board did not execute: {step.error}")
        ends = [entry.seen, self._traced.ordered_at, self._link.put_at, self._read_at, step.started]
        self._rows.append([*ends, step.finished, self._link.heard_at, step.answered, made, written])
        self._closed(entry)

    def _on_event(self, event: BoardEvent) -> None:
        if isinstance(event, ev.Executed):
            self._read_at = round(event.execution.notes["read_at"])
            self._replied.append(round(event.execution.notes["replied_at"]))
        super()._on_event(event)

    def _boards(self) -> Mapping[str, Board]:
        self._rows, self._replied = [], []
        self._traced = _TracedBoard(self._board)
        return {BOARD: self._traced}

    def _composition(self, spec: BoardSpec) -> Composition:
        login = self._login
        config = SshConfig(
            host=login.host,
            port=login.port,
            user=login.user,
            identity=login.identity,
            known_hosts=login.known_hosts,
        )
        script = Path(__file__).with_name("traced_agent.py")
        argv = [sys.executable, str(script), "--stdio", "--state", str(self._folder / "far")]
        self._link = _TracedLink(config, argv)
        return Composition(kind="ssh", make_link=lambda: self._link, common=CommonOptions())
