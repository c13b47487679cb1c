"""The agent between its parts: reads the line, answers at once what can be, hands on the rest.

The reader executes what it reads for an idle lane, and writes the answer, so that no thread waits for another on the
way of a request. Meanwhile a stand-in reads, so that a ``Cancel`` is heard; it sleeps on where the execution should
take less than a millisecond by what the last ones took, and looks up `_LOOK_SECONDS` later in case it does not.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from drivers.agent.housekeeper import ORDERS
from testbed.errors import RemoteWireError
from testbed.wire import PROTOCOL_VERSION
from testbed.wire import messages as m
from testbed.wire.claim import Claim, claim_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drivers.agent.executor import Executor
    from drivers.agent.housekeeper import Housekeeper
    from drivers.agent.lease import BoardLease
    from drivers.agent.ledger import Ledger
    from drivers.agent.lines import Line
    from drivers.agent.outlet import Outlet
    from drivers.agent.residency import Residency
    from testbed.wire import Message

_log = logging.getLogger("testbed.agent")
_FLUSH_SECONDS = 1.0
_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.01
_TOGETHER = 4
"""Answers of brief executions that leave in one write, if there are more orders: each is a packet to seal and send."""


class Service:
    """The reader and its stand-in: in its turn neither writes, and waits for a full housekeeper at most."""

    def __init__(
        self,
        line: Line,
        outlet: Outlet,
        ledger: Ledger,
        residency: Residency,
        housekeeper: Housekeeper,
        lease: BoardLease,
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
        self._lease = lease
        self._facts = facts
        self._boot_id = boot_id
        self._sha256 = sha256
        self._now_ns = now_ns
        self._max_message = max_message_bytes
        self._holder: Claim | None = None
        self._holder_heard = 0.0
        self._spoken = self._welcomed = False
        self._lease_over = True  # nobody has it yet
        self._greeting: m.Hello | None = None
        self._heard = time.monotonic()
        self._turn = threading.Lock()
        self._executing = self._may_claim = False
        self._over = threading.Event()
        self._code = 0

    def serve(self) -> int:
        """Until the line ends or the host says goodbye: 0. 3 if the line broke or the host broke the rules."""
        for work in (self._read_on, self._stand_in):
            threading.Thread(target=self._guard, args=(work,), name=work.__name__[1:], daemon=True).start()
        self._over.wait()
        return self._code

    def _end(self, code: int) -> None:
        self._code = code
        self._over.set()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - logged, and the end of the agent: the other thread would not do
            _log.exception("a reader died")
            self._end(1)

    def _read_on(self) -> None:
        """Wait, read, act on it, and run the lane that this set in motion."""
        while not self._over.is_set():
            data = self._read(None)
            read_at = self._now_ns()
            with self._turn:
                self._may_claim = True
                lane = self._take(data, read_at)
                self._executing = lane is not None
            if lane is None:
                continue
            brief = lane.brief
            if not brief:
                self._line.notice(True)
            lane.work(together=_TOGETHER if brief else 1)
            with self._turn:
                self._executing = False
                self._line.notice(False)

    def _stand_in(self) -> None:
        """Read while the reader executes, and notice when nothing comes."""
        timeout = min(self._line.quiet_s, _LOOK_SECONDS)
        while not self._over.is_set():
            self._line.wait(timeout)
            with self._turn:
                self._may_claim = False
                if self._executing:
                    self._outlet.wake()  # answers of an execution that was thought to be brief
                    self._take(self._read(0.0), self._now_ns())
                    self._line.notice(True)
                elif self._outlet.broken.is_set():
                    self._end(3)
                else:
                    self._take(b"", 0)

    def _read(self, timeout_s: float | None) -> bytes | None:
        """What came; ``None`` if the agent is to end, which is said then."""
        while self._outlet.overfull:
            time.sleep(_PAUSE_SECONDS)
        try:
            data = self._line.read(timeout_s)
        except OSError as error:
            _log.error("the line broke: %s", error)
            self._end(3)
            return None
        if data is None or self._outlet.broken.is_set():
            self._end(0 if data is None else 3)
            return None
        return data

    def _take(self, data: bytes | None, read_at: int) -> Executor | None:
        """Handle what was read, if anything; the lane that this thread has to run, if any."""
        if data is None:
            return None
        now = time.monotonic()
        if data:
            self._heard = now
        elif now - self._heard < self._line.quiet_s:
            return None
        else:
            self._mind_silence()
        lane = None
        try:
            taken = self._outlet.receive(data)
        except RemoteWireError as error:
            taken = error.messages  # type: ignore[assignment]
            _log.error("the host broke the rules: %s", error)
            if not self._line.survives:
                self._end(3)
        for message in taken:
            lane = self._handle(message, read_at) or lane
        return lane

    def _handle(self, message: Message, read_at: int) -> Executor | None:
        if isinstance(message, m.Infer):
            self._spoken = True
            return self._infer(message)
        if isinstance(message, m.Probe):
            seq = message.seq
            self._outlet.post_late(m.ProbeReply, lambda: self._probed(seq, read_at))
        elif isinstance(message, m.Cancel):
            for reply in self._ledger.cancel(message.action, message.items):
                self._outlet.post(reply)
        elif type(message) in ORDERS:
            self._housekeeper.put(message)
        elif isinstance(message, m.Hello):
            self._greet(message)
            return None  # it may be somebody else's
        elif isinstance(message, m.Bye):
            self._outlet.post(m.Goodbye("asked to"))
            self._housekeeper.put(self._housekeeper.stop_meters)
            self._end_lease()
        self._spoken = True
        return None

    def leave(self) -> None:
        """Note that the line is over, and whether the holder had said goodbye."""
        try:
            self._lease.leave(over=self._lease_over)
        except OSError as error:
            _log.error("the end of a lease cannot be kept: %s", error)

    def _end_lease(self) -> None:
        """The holder has said goodbye, or is gone; on a line of its own this agent ends with it."""
        self._lease_over = True
        if self._line.survives:
            self.leave()
        else:
            self._outlet.flush(_FLUSH_SECONDS)
            self._end(0)

    def _silent_too_long(self) -> bool:
        """Whether the holder's lease has run out; a real clock, since the one that stamps may be set meanwhile."""
        now = time.monotonic()
        if self._spoken:  # no clock is read for each message
            self._holder_heard, self._spoken = now, False
        return self._holder is not None and 0 < self._holder.ttl_ns < (now - self._holder_heard) * 1e9

    def _mind_silence(self) -> None:
        """Called while nothing comes: a holder that is gone without a word must not keep the board for ever."""
        if self._lease_over or not self._welcomed or not self._silent_too_long():
            return
        _log.warning("nothing was heard from %s: the lease is over", self._holder and self._holder.holder)
        self._outlet.post(m.Goodbye("your lease is over: nothing was heard from you"))
        self._greeting = None
        if self._line.survives:  # otherwise this process ends, and puts settings back on its way out
            self._ledger.clear()
            self._housekeeper.put(self._housekeeper.start_over)
        self._end_lease()

    def _probed(self, seq: int, read_at: int) -> m.ProbeReply:
        held = self._now_ns() - read_at  # negative where the clock was set meanwhile
        return m.ProbeReply(seq, read_at, held if 0 <= held < m.HELD_TOO_LONG else m.HELD_TOO_LONG)

    def _infer(self, infer: m.Infer) -> Executor | None:
        batch = len(infer.thresholds)
        stops = len(infer.stop_after_ns)
        if not 0 < batch <= 0xFFFF or len(infer.samples) != batch or stops not in (0, batch):
            text = f"a batch of {batch} thresholds has as many samples and stops, not {len(infer.samples)} and {stops}"
            self._outlet.post(m.Failed("action", infer.action, "malformed", text, ""))
            return None
        entry, replies = self._ledger.admit(infer, self._now_ns())
        for reply in replies:
            # What was just admitted need not be acknowledged where nothing gets lost: its answer will do.
            if entry is None or self._line.lossy or not isinstance(reply, m.Accepted):
                self._outlet.post(reply)
        if entry is None:
            return None
        lane = self._residency.submit(entry, claim=self._may_claim)
        if isinstance(lane, m.Failed):
            self._ledger.withdraw(entry)
            self._outlet.post(lane)
            return None
        if lane is not None:
            self._may_claim = False  # one can be run, and the others have threads of their own
        return lane

    def _greet(self, hello: m.Hello) -> None:
        self._greeting = None
        if hello.agent_sha256 and hello.agent_sha256 != self._sha256:
            text = f"this agent is {self._sha256 or 'not a bundle'}, not {hello.agent_sha256}"
            self._outlet.post(m.Refused("agent", text))
            return
        claim = claim_of(hello.fence, hello.note)
        try:
            heard = not self._welcomed or not self._silent_too_long()
            refused = self._lease.admit(claim, heard=heard)
        except OSError as error:
            refused = m.Refused("fence", f"the lease cannot be kept on this board: {error}")
        if refused is not None:
            self._outlet.post(refused)
            return
        if self._holder is not None and claim.token > self._holder.token:
            self._ledger.clear()
            self._housekeeper.put(self._housekeeper.start_over)
        else:
            if self._holder is None:
                self._housekeeper.put(self._housekeeper.clean_up)
            self._housekeeper.put(self._housekeeper.stop_meters)
        self._holder = claim
        self._lease_over, self._welcomed = False, False
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
        self._spoken = self._welcomed = (
            True  # the holder's silence counts from here: making this may take long
        )
        self._outlet.send(welcome)
