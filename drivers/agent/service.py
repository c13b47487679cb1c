"""The agent between its parts: reads the line, answers at once what can be, hands on the rest."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from drivers.agent.housekeeper import ORDERS
from testbed.errors import RemoteWireError
from testbed.wire import PROTOCOL_VERSION
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drivers.agent.housekeeper import Housekeeper
    from drivers.agent.ledger import Ledger
    from drivers.agent.lines import Line
    from drivers.agent.outlet import Outlet
    from drivers.agent.residency import Residency
    from drivers.agent.state import Fence
    from testbed.wire import Message

_log = logging.getLogger("testbed.agent")
_FLUSH_SECONDS = 1.0
_WAIT_SECONDS = 1.0
_PAUSE_SECONDS = 0.01


class Service:
    """The reader. It never writes to the line and never waits for anything but the line and a full housekeeper."""

    def __init__(
        self,
        line: Line,
        outlet: Outlet,
        ledger: Ledger,
        residency: Residency,
        housekeeper: Housekeeper,
        fence: Fence,
        *,
        facts: Callable[[], Mapping[str, object]],
        boot_id: str,
        sha256: str,
        now_ns: Callable[[], int],
        max_message_bytes: int,
    ) -> None:
        """Join the parts; ``facts`` is asked at every greeting."""
        self._line = line
        self._outlet = outlet
        self._ledger = ledger
        self._residency = residency
        self._housekeeper = housekeeper
        self._fence = fence
        self._facts = facts
        self._boot_id = boot_id
        self._sha256 = sha256
        self._now_ns = now_ns
        self._max_message = max_message_bytes
        self._holder: int | None = None
        self._greeting: m.Hello | None = None
        self._ended = False

    def serve(self) -> int:
        """Until the line ends or the host says goodbye: 0. 3 if the line broke or the host broke the rules."""
        timeout = min(self._line.quiet_s, _WAIT_SECONDS)
        while not self._ended:
            while self._outlet.overfull:
                time.sleep(_PAUSE_SECONDS)
            try:
                data = self._line.read(timeout)
            except OSError as error:
                _log.error("the line broke: %s", error)
                return 3
            if data is None:
                return 0
            if self._outlet.broken.is_set():
                return 3
            read_at = self._now_ns()
            try:
                taken = self._outlet.receive(data)
            except RemoteWireError as error:
                for message in error.messages:
                    self._handle(message, read_at)  # type: ignore[arg-type]
                _log.error("the host broke the rules: %s", error)
                if not self._line.survives:
                    return 3
                continue
            for message in taken:
                self._handle(message, read_at)
        self._outlet.flush(_FLUSH_SECONDS)
        return 0

    def _handle(self, message: Message, read_at: int) -> None:
        if isinstance(message, m.Infer):
            self._infer(message)
        elif isinstance(message, m.Probe):
            seq = message.seq
            self._outlet.post_late(m.ProbeReply, lambda: self._probed(seq, read_at))
        elif isinstance(message, m.Cancel):
            for reply in self._ledger.cancel(message.action, message.items):
                self._outlet.post(reply)
        elif type(message) in ORDERS:
            self._housekeeper.put(message)
        elif isinstance(message, m.Hello):
            self._greet(message)
        elif isinstance(message, m.Bye):
            self._outlet.post(m.Goodbye("asked to"))
            self._ended = not self._line.survives
            self._housekeeper.put(self._housekeeper.stop_meters)

    def _probed(self, seq: int, read_at: int) -> m.ProbeReply:
        held = self._now_ns() - read_at  # negative where the clock was set meanwhile
        return m.ProbeReply(seq, read_at, held if 0 <= held < m.HELD_TOO_LONG else m.HELD_TOO_LONG)

    def _infer(self, infer: m.Infer) -> None:
        batch = len(infer.thresholds)
        stops = len(infer.stop_after_ns)
        if not 0 < batch <= 0xFFFF or len(infer.samples) != batch or stops not in (0, batch):
            text = f"a batch of {batch} thresholds has as many samples and stops, not {len(infer.samples)} and {stops}"
            self._outlet.post(m.Failed("action", infer.action, "malformed", text, ""))
            return
        entry, replies = self._ledger.admit(infer, self._now_ns())
        for reply in replies:
            self._outlet.post(reply)
        failure = self._residency.submit(entry) if entry is not None else None
        if entry is not None and failure is not None:
            self._ledger.withdraw(entry)
            self._outlet.post(failure)

    def _greet(self, hello: m.Hello) -> None:
        self._greeting = None
        if hello.agent_sha256 and hello.agent_sha256 != self._sha256:
            text = f"this agent is {self._sha256 or 'not a bundle'}, not {hello.agent_sha256}"
            self._outlet.post(m.Refused("agent", text))
            return
        try:
            admitted = self._fence.admit(hello.fence)
        except OSError as error:
            self._outlet.post(m.Refused("fence", f"the fencing token cannot be kept on this board: {error}"))
            return
        if not admitted:
            text = f"token {hello.fence} is older than {self._fence.highest}, which this board obeys"
            self._outlet.post(m.Refused("fence", text))
            return
        if self._holder is not None and hello.fence > self._holder:
            self._ledger.clear()
            self._housekeeper.put(self._housekeeper.start_over)
        else:
            if self._holder is None:
                self._housekeeper.put(self._housekeeper.clean_up)
            self._housekeeper.put(self._housekeeper.stop_meters)
        self._holder = hello.fence
        self._greeting = hello
        self._housekeeper.put(lambda: self._welcome(hello))

    def _welcome(self, hello: m.Hello) -> None:
        facts = dict(self._facts())
        if hello is not self._greeting:
            return  # the host has greeted again meanwhile; only the newest greeting is answered
        welcome = m.Welcome(
            PROTOCOL_VERSION,
            hello.fence,
            self._sha256,
            str(facts.pop("boot_id", self._boot_id)),
            facts,
            self._ledger.max_inflight,
            self._max_message,
        )
        self._outlet.send(welcome)
