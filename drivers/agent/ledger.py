"""Executed once: what became of every action, however often it is asked for, and what was cancelled.

========  =======================================================================================================
stage     what a repeated Infer gets / what a Cancel of all items does
========  =======================================================================================================
unseen    executed / remembered: the Infer is answered ``Cancelled(BEFORE_START)`` when it comes
QUEUED    Accepted again / closes the action, ``Cancelled(BEFORE_START)``
RUNNING   Accepted again / noted; the runtime sees it between two exits, the answer comes when it returns
FINISHED  its final reply again / ``Cancelled(TOO_LATE)``
forgot    ``Failed("forgotten")``, never a second execution / ``Cancelled(TOO_LATE)``
========  =======================================================================================================
"""

from __future__ import annotations

import enum
import threading
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from testbed.wire.messages import (
    BEFORE_START,
    CANCELLED_EXIT,
    DURING,
    TOO_LATE,
    Accepted,
    Cancelled,
    Done,
    Failed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testbed.wire import Message
    from testbed.wire.messages import Infer

_MAX_REPLIES = 4096
_MAX_REPLY_BYTES = 16 << 20
_MAX_FORGOTTEN = 1 << 16
_MAX_EARLY = 1024
_SAMPLED_BYTES = 4096


class Stage(enum.Enum):
    """Where an action stands."""

    QUEUED = 0
    RUNNING = 1
    FINISHED = 2


class Entry:
    """One action.

    Attributes:
        infer: the order, ``None`` once it was let go (its input may be large).
        cancelled: items cancelled so far; replaced, never changed, so any thread may read it.
        beside: gets what is said about it, besides the session. report: joins the runtime's own.
        lost_rows: as in a runtime's ``run``.
    """

    __slots__ = (
        "_fingerprint",
        "action",
        "asked",
        "batch",
        "beside",
        "cancelled",
        "infer",
        "lost_rows",
        "received",
        "reply",
        "report",
        "stage",
    )

    def __init__(self, infer: Infer, received: int) -> None:
        self.action = infer.action
        self.infer: Infer | None = infer
        self.received = received
        self.batch = len(infer.thresholds)
        self.stage = Stage.QUEUED
        self.cancelled: frozenset[int] = frozenset()
        self.asked: list[frozenset[int]] = []
        self.reply: Message | None = None
        self.beside: Callable[[int, Message], None] | None = None
        self.report: Mapping[str, object] = {}
        self.lost_rows = 0
        self._fingerprint: tuple[Any, ...] | None = None

    def let_go(self) -> None:
        """Keep of the order only what tells it from another one."""
        if self.infer is not None:
            self._fingerprint, self.infer = _fingerprint(self.infer), None

    def differs_from(self, infer: Infer) -> bool:
        """Whether that is another order under the same number."""
        own = self._fingerprint if self.infer is None else _fingerprint(self.infer)
        return own != _fingerprint(infer)


class Ledger:
    """The actions of one fencing token; thread-safe.

    Attributes:
        unfinished: actions accepted and not finished.
        executions: actions that began, each counted once.
    """

    def __init__(self, max_inflight: int) -> None:
        """Accept at most ``max_inflight`` unfinished actions."""
        self.max_inflight = max_inflight
        self.executions = 0
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Another holder of the board: its numbers start over."""
        with self._lock:
            for entry in getattr(self, "_entries", {}).values():
                entry.stage = Stage.FINISHED  # what is queued will not start
                entry.cancelled = frozenset(range(entry.batch))
            self.unfinished = 0
            self._entries: dict[int, Entry] = {}
            self._finished: OrderedDict[int, int] = OrderedDict()
            self._finished_bytes = 0
            self._forgotten: OrderedDict[int, None] = OrderedDict()
            self._early: OrderedDict[int, frozenset[int]] = OrderedDict()

    def admit(self, infer: Infer, received: int) -> tuple[Entry | None, list[Message]]:
        """Take an order: the entry if it is to be queued, and what to answer.

        Args:
            infer: the order.
            received: when it was complete [ns, board clock].
        """
        action = infer.action
        with self._lock:
            known = self._entries.get(action)
            if known is not None:
                if known.differs_from(infer):
                    return None, [_failed(action, "action-reused", "another order had this number")]
                return None, [known.reply or Accepted(action, known.received)]
            if action in self._forgotten:
                return None, [_failed(action, "forgotten", "finished long ago; its reply is no longer kept")]
            if self.unfinished >= self.max_inflight:
                return None, [_failed(action, "busy", f"{self.unfinished} actions are unfinished already")]
            entry = Entry(infer, received)
            early = self._early.pop(action, None)
            if early is not None:
                everything = frozenset(range(entry.batch))
                entry.cancelled = early & everything if early else everything
            self._entries[action] = entry
            self.unfinished += 1
            if entry.batch and len(entry.cancelled) == entry.batch:
                reply = Cancelled(action, BEFORE_START, ())
                self._finish(entry, reply)
                entry.let_go()
                return None, [reply]
            answers: list[Message] = [Accepted(action, received)]
            if entry.cancelled:
                answers.append(Cancelled(action, BEFORE_START, tuple(sorted(entry.cancelled))))
            return entry, answers

    def withdraw(self, entry: Entry) -> None:
        """Undo an admission that led nowhere (no such model), so that the order may come again."""
        with self._lock:
            if self._entries.get(entry.action) is entry:
                del self._entries[entry.action]
                self.unfinished -= 1
            entry.stage = Stage.FINISHED

    def cancel(self, action: int, items: Sequence[int]) -> list[Message]:
        """Cancel; what to answer now."""
        with self._lock:
            entry = self._entries.get(action)
            if entry is None:
                if action in self._forgotten:
                    return [Cancelled(action, TOO_LATE, tuple(items))]
                self._remember(action, frozenset(items))
                return []
            if entry.stage is Stage.FINISHED:
                return [Cancelled(action, TOO_LATE, tuple(items))]
            everything = frozenset(range(entry.batch))
            wanted = frozenset(items) & everything if items else everything
            entry.cancelled |= wanted
            if entry.stage is Stage.RUNNING:
                entry.asked.append(wanted)
                return []
            if entry.cancelled != everything:
                return [Cancelled(action, BEFORE_START, tuple(sorted(wanted)))]
            reply = Cancelled(action, BEFORE_START, ())
            self._finish(entry, reply)
            return [reply]

    def let_go(self, entry: Entry) -> None:
        """Free the input of an action that has ended; in nobody's way, so after its answer has left."""
        with self._lock:
            entry.let_go()

    def start(self, entry: Entry) -> bool:
        """Whether an action taken from a queue is still wanted; it then counts as running."""
        with self._lock:
            if entry.stage is not Stage.QUEUED:
                return False
            entry.stage = Stage.RUNNING
            self.executions += 1
            return True

    def finish(self, entry: Entry, reply: Done | Failed) -> list[Message]:
        """Close an action: everything that is to be sent about it, cancellations first."""
        with self._lock:
            if self._entries.get(entry.action) is not entry:
                return []
            action = entry.action
            if not entry.asked and isinstance(reply, Done) and CANCELLED_EXIT not in reply.exits:
                self._finish(entry, reply)
                return [reply]
            if isinstance(reply, Failed):
                final: Message = reply
                answers: list[Message] = [Cancelled(action, TOO_LATE, tuple(sorted(a))) for a in entry.asked]
            else:
                gone = frozenset(i for i, code in enumerate(reply.exits) if code == CANCELLED_EXIT)
                answers = []
                final = reply
                if entry.batch and len(gone) == entry.batch:
                    final = Cancelled(action, DURING, ())
                else:
                    for asked in entry.asked:
                        for stage, items in ((DURING, asked & gone), (TOO_LATE, asked - gone)):
                            if items:
                                answers.append(Cancelled(action, stage, tuple(sorted(items))))
            self._finish(entry, final)
            return [*answers, final]

    def _remember(self, action: int, items: frozenset[int]) -> None:
        """Keep a cancellation that came before its order; no items mean all."""
        earlier = self._early.pop(action, items)
        self._early[action] = earlier | items if earlier and items else frozenset()
        if len(self._early) > _MAX_EARLY:
            self._early.popitem(last=False)

    def _finish(self, entry: Entry, reply: Message) -> None:
        entry.stage = Stage.FINISHED
        entry.reply = reply
        self.unfinished -= 1
        size = sum(len(t.data) for t in reply.outputs) if isinstance(reply, Done) else 0
        self._finished[entry.action] = size
        self._finished_bytes += size
        while len(self._finished) > _MAX_REPLIES or (
            self._finished_bytes > _MAX_REPLY_BYTES and len(self._finished) > 1
        ):
            oldest, freed = self._finished.popitem(last=False)
            self._finished_bytes -= freed
            del self._entries[oldest]
            self._forgotten[oldest] = None
            if len(self._forgotten) > _MAX_FORGOTTEN:
                self._forgotten.popitem(last=False)


def _failed(action: int, code: str, text: str) -> Failed:
    return Failed("action", action, code, text, "")


def _fingerprint(infer: Infer) -> tuple[Any, ...]:
    """Tells orders under one number apart without reading a large input whole."""
    data = infer.input.data
    crc = zlib.crc32(data[-_SAMPLED_BYTES:], zlib.crc32(data[:_SAMPLED_BYTES]))
    rules = (tuple(map(tuple, infer.thresholds)), tuple(infer.stop_after_ns))
    return (infer.model, infer.instance, tuple(infer.samples), rules, tuple(infer.input.shape), crc)
