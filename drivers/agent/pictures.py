"""From a picture that came in packets to an action in a lane; in a thread of its own, since decoding takes a while."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING

from testbed.errors import TestbedError
from testbed.wire import Tensor
from testbed.wire import messages as m
from testbed.wire.picture import fit, lost_rows, restore, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drivers.agent.gatherings import Through
    from drivers.agent.ledger import Ledger
    from drivers.agent.outlet import Outlet
    from drivers.agent.residency import Residency
    from testbed.wire import Message
    from testbed.wire.strips import Strips

    Tell = Callable[[int, Message], None]

_QUEUE_LENGTH = 64


class Pictures:
    """Decodes, conceals, and queues for execution; what cannot be is told at once."""

    def __init__(
        self, ledger: Ledger, residency: Residency, outlet: Outlet, now_ns: Callable[[], int]
    ) -> None:
        """Start no thread yet: most boards never see a picture in packets."""
        self._ledger = ledger
        self._residency = residency
        self._outlet = outlet
        self._now_ns = now_ns
        self._through: deque[tuple[Through, Tell]] = deque()
        self._early: deque[tuple[Strips, Mapping[int, bytes]]] = deque()
        self._work: queue.SimpleQueue[None] = queue.SimpleQueue()  # one for each entry of both
        self._running = False

    def accepted(self, action: int) -> Message:
        """The first packet is there; told over the reliable session as well."""
        message = m.Accepted(action, self._now_ns())
        self._outlet.post(message)
        return message

    def begin(self, strips: Strips, segments: Mapping[int, bytes]) -> None:
        """Decode segments of a picture that is still coming, once nothing else is to do."""
        if len(self._early) < _QUEUE_LENGTH:
            self._early.append((strips, segments))
            self._wake()

    def put(self, through: Through, tell: Tell) -> None:
        """Queue a picture; ``tell`` sends a message about it as datagrams."""
        if len(self._through) >= _QUEUE_LENGTH:
            self._fail(through, tell, "busy", f"{_QUEUE_LENGTH} pictures wait to be decoded", post=True)
            return
        self._through.append((through, tell))
        self._wake()

    def _wake(self) -> None:
        self._work.put(None)
        if not self._running:
            self._running = True
            threading.Thread(target=self._run, name="pictures", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._work.get()
            if not self._through:
                strips, segments = self._early.popleft()
                # Whatever is wrong with a segment happens again, and is told, when its picture is through.
                with contextlib.suppress(Exception):
                    strips.add(segments)
                continue
            through, tell = self._through.popleft()
            try:
                self._carry_out(through, tell)
            except TestbedError as error:
                self._fail(through, tell, "picture", str(error))
            except Exception as error:  # noqa: BLE001 - reported, and the agent goes on
                text = f"{type(error).__name__}: {error}"
                self._fail(through, tell, "agent", text, where=traceback.format_exc())

    def _carry_out(self, through: Through, tell: Tell) -> None:
        """Raises what the picture's own fault is."""
        action, order, gathering, began = through[:4]
        received, begin = self._now_ns(), time.monotonic_ns()
        lost_frac = gathering.lost_frac
        if lost_frac > order.most_lost:
            text = f"{lost_frac:.3f} of the picture was lost, more than {order.most_lost:g}"
            self._fail(through, tell, "lost", text)
            return
        shape, there = gathering.first.shape, gathering.segments
        if through.strips is None:
            picture = restore(shape, there, order.fill, order.mean)
        else:
            through.strips.add(there)
            picture = through.strips.finish(order.fill, order.mean)
        pixels = fit(picture, order.shape)
        decoded = time.monotonic_ns()
        if order.start_us and decoded - began > order.start_us * 1000:
            self._fail(through, tell, "window", "it was not there by the latest start")
            return
        tensor = Tensor("uint8", (1, *order.shape), pixels.tobytes())
        # Without the sample's number: stored answers are to the picture as it was before it was sent.
        infer = m.Infer(
            action, order.model, order.instance, (order.thresholds,), (order.stop_after_ns,), (-1,), tensor
        )
        entry, replies = self._ledger.admit(infer, received)
        if entry is None:
            for reply in replies:
                self._tell(action, reply, tell)
            return
        entry.report = {
            "lost_frac": lost_frac,
            "packets": gathering.first.packets,
            "packets_lost": gathering.first.packets - gathering.packets,
            "decode_ns": decoded - begin,
        }
        entry.lost_rows = gone = lost_rows(shape, there, order.shape)
        if gone:
            entry.report["lost_rows"] = rows_of(gone)
        entry.beside = tell
        refused = self._residency.submit(entry, claim=False)
        if isinstance(refused, m.Failed):
            self._ledger.withdraw(entry)
            self._tell(action, refused, tell)

    def _fail(
        self, through: Through, tell: Tell, code: str, text: str, *, where: str = "", post: bool = False
    ) -> None:
        lost_frac = through.gathering.lost_frac
        failed = m.Failed("action", through.action, code, text, where, lost_frac)
        self._tell(through.action, failed, tell, post=post)

    def _tell(self, action: int, message: Message, tell: Tell, *, post: bool = False) -> None:
        """Both ways; ``post`` where the caller must not write to the line."""
        tell(action, message)
        if post:
            self._outlet.post(message)
        else:
            self._outlet.send(message)
