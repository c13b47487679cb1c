"""Clock probes of one connection, and what they tell of the network.

Source: stamps as in NTP (RFC 5905, section 8); on a serial line each byte takes ten bit times, which are modelled and
handed on to be subtracted.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING

from testbed.model.event import NetworkSeen
from testbed.model.losses import SeenLoss
from testbed.model.record import ClockProbe
from testbed.units import Ns, S
from testbed.wire import messages as m
from testbed.wire.frames import SHORT_OVERHEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.boards.composition import Composition
    from testbed.ports import BoardEvent

UP_BYTES = SHORT_OVERHEAD_BYTES + len(m.encode_message(m.Probe(0)))
DOWN_BYTES = SHORT_OVERHEAD_BYTES + len(m.encode_message(m.ProbeReply(0, 0, 0)))
"""What a probe and its reply cost on the line: 12 and 24 bytes, 1.0 and 2.1 ms at 115200 baud."""
_GAP_S = 0.004
_WAIT_S = 2.0
_RECENT = 32


class Prober:
    """Makes probes and takes their replies.

    Attributes:
        up_bytes_per_s: rate towards the board, from an upload or the line; ``inf`` before any.
    """

    def __init__(
        self, board: str, boot: int, composition: Composition, emit: Callable[[BoardEvent], None]
    ) -> None:
        """Nothing sent yet."""
        self.up_bytes_per_s = composition.line_bytes_per_s or math.inf
        self._losses = SeenLoss()
        self._down = composition.line_bytes_per_s or math.inf
        self._board = board
        self._boot = boot
        self._emit = emit
        serial = composition.lossy and composition.line_bytes_per_s
        per_byte = S / composition.line_bytes_per_s if serial and composition.line_bytes_per_s else 0.0
        self._wire_up, self._wire_down = round(UP_BYTES * per_byte), round(DOWN_BYTES * per_byte)
        self._gap_s = _GAP_S + 2 * (self._wire_up + self._wire_down) / S
        self._made = 0
        self._open: dict[int, tuple[int, Ns]] = {}
        self._rtts: deque[Ns] = deque(maxlen=_RECENT)
        self._heard = asyncio.Event()
        self._ended = False
        self._last_t = 0

    def make(self, now: Ns) -> m.Probe:
        """A probe stamped now."""
        self._made += 1
        seq = self._made & 0xFFFF
        self._open[seq] = (self._made, now)
        if len(self._open) > 4 * _RECENT:  # lost ones
            del self._open[next(iter(self._open))]
        return m.Probe(seq)

    def take(self, reply: m.ProbeReply, t3: Ns) -> None:
        """A reply came at ``t3``; a repeated one is ignored, and one held too long tells nothing."""
        asked = self._open.pop(reply.seq, None)
        self._heard.set()
        if asked is None or reply.held == m.HELD_TOO_LONG:
            return
        t0 = asked[1]
        self._last_t = t3
        self._rtts.append(t3 - t0)
        self._emit(
            ClockProbe(
                board=self._board,
                boot=self._boot,
                t0=t0,
                t1=reply.t1,
                t2=reply.t1 + reply.held,
                t3=t3,
                wire_up=self._wire_up,
                wire_down=self._wire_down,
            )
        )

    async def run(self, count: int, send: Callable[[], None]) -> NetworkSeen | None:
        """Send ``count`` probes a few ms apart and wait two seconds at most for the last reply."""
        first = self._made
        for index in range(count):
            if index:
                await asyncio.sleep(self._gap_s)
            if self._ended:
                return None
            send()
        try:
            async with asyncio.timeout(_WAIT_S):
                while not self._ended and (self._made < first + count or self._lost_since(first)):
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            lost = self._lost_since(first) / max(count, 1)
        else:
            lost = 0.0
        return self._seen(self._last_t, lost if self._losses.frac is None else self._losses.frac)

    def lost(self, frac: float, now: Ns) -> None:
        """A lossy order lost such a share of its packets; told a few times a second."""
        if self._losses.add(frac, now) and (seen := self._seen(now, self._losses.frac or 0.0)) is not None:
            self._emit(seen)

    def _seen(self, t: Ns, loss_frac: float) -> NetworkSeen | None:
        if not self._rtts or self._ended:
            return None
        return NetworkSeen(
            t=t,
            board=self._board,
            rtt=min(self._rtts),
            up_bytes_per_s=self.up_bytes_per_s,
            down_bytes_per_s=self._down,
            loss_frac=loss_frac,
        )

    def _lost_since(self, first: int) -> int:
        return sum(number > first for number, _ in self._open.values())

    def end(self) -> None:
        """Let waiting probes go."""
        self._ended = True
        self._heard.set()
