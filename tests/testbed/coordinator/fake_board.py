"""A board that answers from the event loop after a while: the shell's side of the port, without links."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from testbed.errors import LeaseError
from testbed.model import event as ev
from testbed.model.action import Cancel, Infer, Load
from testbed.model.execution import Execution, ItemResult
from testbed.model.lab import BoardFacts, BoardSpec, CheckResult
from testbed.ports import Payload, Sink

BUSY: dict[str, int] = {}
"""How often a board of a name still refuses to be opened, whichever object it is: as another coordinator's would."""


class FakeBoard:
    """Answers label 3 after ``delay_s``; ``dead`` boards never answer; ``refuse_models`` fail to load;
    one is lost right after its ``lose_after``-th order."""

    def __init__(self, spec: BoardSpec) -> None:
        self.id = spec.id
        self.resource = str(spec.options.get("resource", ""))
        self.spec = spec
        self.delay_s = float(spec.options.get("delay_s", 0.001))
        self.dead = bool(spec.options.get("dead", False))
        self.lose_after = int(spec.options.get("lose_after", 0))
        self.refuses = bool(spec.options.get("refuse_models", False))
        self.opened = self.closed = 0
        self.seen: list[tuple[int, ...]] = []
        self.loads: list[Load] = []
        self._spec = spec
        self._timers: dict[int, asyncio.TimerHandle] = {}

    async def open(self, sink: Sink) -> BoardFacts:
        self._sink = sink
        self.opened += 1
        if self.id in BUSY and BUSY[self.id] > 0:
            BUSY[self.id] -= 1
            raise LeaseError("somebody holds this board", board=self.id)
        sink(ev.BoardUp(t=time.monotonic_ns(), board=self.id, boot=1))
        return BoardFacts(
            id=self.id,
            kind=self._spec.kind,
            site=self._spec.site,
            boot_id="b",
            agent_sha256="a",
            facts={},
            origin="emulated",
            link_origin="emulated",
        )

    def send(
        self, order: Infer | Load | Cancel, payload: Payload | None = None, samples: tuple[int, ...] = ()
    ) -> None:
        if isinstance(order, Load):
            self.loads.append(order)
            now = time.monotonic_ns()
            if self.refuses:
                self._sink(ev.Failed(t=now, action=order.id, error="no memory"))
            else:
                self._sink(ev.Loaded(t=now, action=order.id, board=self.id, model=order.model, load=5))
        elif isinstance(order, Cancel):
            timer = self._timers.pop(order.action, None)
            if timer is not None:
                timer.cancel()
                self._sink(ev.Cancelled(t=time.monotonic_ns(), action=order.action, stage="before_start"))
        else:
            assert payload is not None
            assert len(payload) == len(samples) == len(order.batch)
            self.seen.append(samples)
            if len(self.seen) == self.lose_after:
                asyncio.get_running_loop().call_soon(self.lose)
            if not self.dead:
                loop = asyncio.get_running_loop()
                self._timers[order.id] = loop.call_later(self.delay_s, self._answer, order)

    def _answer(self, order: Infer) -> None:
        self._timers.pop(order.id, None)
        now = time.monotonic_ns()
        items = tuple(ItemResult(label=3, confidence=0.9) for _ in order.batch)
        run = Execution(received=now - 3, started=now - 2, finished=now - 1, items=items)
        self._sink(ev.Executed(t=now, action=order.id, execution=run, boot=1))

    def lose(self) -> None:
        """Go down with everything that is under way."""
        now = time.monotonic_ns()
        for action, timer in list(self._timers.items()):
            timer.cancel()
            self._sink(ev.Failed(t=now, action=action, error="cut"))
        self._timers.clear()
        self._sink(ev.BoardDown(t=now, board=self.id, error="cut"))

    async def probe(self, count: int = 8) -> None:
        await asyncio.sleep(0)

    def checks(self) -> AsyncIterator[CheckResult]:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed += 1
