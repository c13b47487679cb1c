"""One direction of a network: says when a packet that enters now comes out, if it does."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.model.losses import Loss
from testbed.model.traces import read_trace
from testbed.model.wires import Constant, Unlimited
from testbed.units import MS, Ns

if TYPE_CHECKING:
    from drivers.virtual.network.options import WayOptions
    from testbed.model.wires import Wire


class PacketWay:
    """Queue, wire, loss and delay, in this order; knows no sockets and no clock.

    Attributes:
        entered, lost, dropped: packets so far; lost on the wire, dropped because the queue was full.
    """

    def __init__(self, options: WayOptions, seed: str, beside: Path | None = None) -> None:
        """Lay out an empty way.

        Args:
            seed: of loss and jitter. beside: a folder that a relative ``trace`` lies in.

        Raises:
            ConfigError: the trace cannot be read.
        """
        self._wire: Wire = Unlimited()
        if options.trace is not None:
            self._wire = read_trace((beside or Path()) / options.trace)
        elif options.rate_mbit is not None:
            self._wire = Constant(options.rate_mbit * 1e6 / 8)
        self._delay = round(options.delay_ms * MS)
        self._jitter = options.jitter_ms * MS
        self._queue_bytes = options.queue_bytes
        self._loss = Loss(options.loss, f"{seed}/loss")
        self._random = random.Random(f"{seed}/jitter")
        self._queue: list[tuple[Ns, int]] = []
        self._head = 0
        self._waiting = 0
        self._free: Ns = 0
        self._last: Ns = 0
        self.entered = self.lost = self.dropped = 0

    def enter(self, now: Ns, size: int) -> Ns | None:
        """When a packet of ``size`` bytes comes out; ``None`` if it is lost.

        Args:
            now: since the way began [ns]; never falls.
        """
        self.entered += 1
        self._forget(now)
        if self._waiting + size > self._queue_bytes and self._waiting:
            self.dropped += 1
            return None
        self._free = self._wire.through(max(now, self._free), size)
        self._queue.append((self._free, size))
        self._waiting += size
        if self._loss.strikes():
            self.lost += 1
            return None
        jitter = round(self._random.expovariate(1.0) * self._jitter) if self._jitter else 0
        self._last = max(self._last, self._free + self._delay + jitter)
        return self._last

    def _forget(self, now: Ns) -> None:
        """Packets that the wire has taken wait no more."""
        while self._head < len(self._queue) and self._queue[self._head][0] <= now:
            self._waiting -= self._queue[self._head][1]
            self._head += 1
        if self._head > 1024:
            del self._queue[: self._head]
            self._head = 0
