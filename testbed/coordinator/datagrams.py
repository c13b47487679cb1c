"""A datagram channel in virtual time: pictures in packets, of which a seeded model loses some.

Paced as a driver paces them, one after the other over the board's wire, lost by the process that emulated networks
lose by, and gathered by the agent's rules. What a model makes of what is left is asked of `Pictures`. Answers come back
over the reliable session, of which nothing is lost here; a queue never overflows, and encoding and decoding take no
time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from testbed.model.losses import SeenLoss
from testbed.units import MS, Ns, S
from testbed.wire.sealing import OVERHEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.coordinator.modelled import Answers
    from testbed.model.datagrams import LossyOptions
    from testbed.model.ids import ModelId
    from testbed.model.losses import Loss
    from testbed.model.wires import Wire

KIND_BYTES = 1
HEADERS_BYTES = 28
"""IPv4 and UDP, which a wire's rate counts too."""
UNHEARD = "the board says nothing of it: every packet was lost"


class Pictures(Protocol):
    """Test inputs as they come out of packets."""

    def sizes(self, model: ModelId, sample: int) -> Sequence[int]:
        """Contents of the packets that a picture travels in, in the order in which they leave [bytes]."""

    def lost_frac(self, model: ModelId, sample: int, gone: tuple[int, ...]) -> float:
        """Share of the picture that packets of these numbers take away."""

    def answers(self, model: ModelId, sample: int, gone: tuple[int, ...]) -> Answers:
        """What a model answers to a picture that lacks these packets: of one sample, number 0."""


class Gathered(Struct, frozen=True):
    """A picture of which nothing more is awaited.

    Attributes:
        t: since when. gone: numbers of the packets that were not there by then, ascending.
    """

    t: Ns
    gone: tuple[int, ...]


def gather(arrivals: Sequence[tuple[int, Ns]], packets: int, wait: Ns, gap: Ns) -> Gathered:
    """When a board stops waiting for a picture, and with what; the rules of `drivers.agent.gatherings`.

    Args:
        arrivals: number and instant of each packet that arrives, by instant; at least one. packets: of the picture.
        wait: from the first packet on. gap: once the last one is there.
    """
    missing = set(range(packets))
    due = arrivals[0][1] + wait
    for number, t in arrivals:
        if t > due:
            break
        missing.discard(number)
        if not missing:
            return Gathered(t, ())
        if number == packets - 1:
            due = min(due, t + gap)
    return Gathered(due, tuple(sorted(missing)))


class Sent(Struct, frozen=True):
    """What became of a picture.

    Attributes:
        left: when its first packet left. silent: when its sender gives up if it hears nothing.
        gathered: ``None`` if no packet arrived. free: when the wire is.
    """

    left: Ns
    silent: Ns
    gathered: Gathered | None
    free: Ns


class Channel:
    """One board's.

    Attributes:
        options: the board's. pictures: what travels here. seen: what the coordinator hears of losses.
    """

    def __init__(self, options: LossyOptions, loss: Loss, pictures: Pictures, rtt: Ns) -> None:
        """Open, with nothing on its way."""
        self.options = options
        self.pictures = pictures
        self.seen = SeenLoss()
        self._loss = loss
        self._half = rtt // 2
        self._wait = round(options.wait_ms * MS)
        self._gap = round(options.gap_ms * MS)
        self._silence = round(options.silence_ms * MS) + 2 * rtt
        self._ns_per_byte = 8 * S / (options.pace_mbit * 1e6)
        self._free: Ns = 0

    def send(self, sizes: Sequence[int], wire: Wire, free: Ns, now: Ns) -> Sent:
        """Send a picture's packets.

        Args:
            sizes: of their contents [bytes]. wire: towards the board; free: since when it is.
        """
        left = leaves = max(self._free, now)
        arrivals = []
        for number, size in enumerate(sizes):
            leaves = max(self._free, now)
            sealed = KIND_BYTES + size + OVERHEAD_BYTES
            self._free = leaves + round(sealed * self._ns_per_byte)
            free = wire.through(max(free, leaves), sealed + HEADERS_BYTES)
            if not self._loss.strikes():
                arrivals.append((number, free + self._half))
        gathered = gather(arrivals, len(sizes), self._wait, self._gap) if arrivals else None
        return Sent(left, leaves + self._silence, gathered, free)
