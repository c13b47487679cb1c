"""How a board takes lossy orders: the ``lossy`` table of a lab file, for its driver and for boards in virtual time."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

MOST_BYTES = 1200
"""As `testbed.wire.fragments.LIMIT_BYTES`, which may not be imported here."""
SMALLEST_PACKET = 128


class LossyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``lossy`` table of a board over SSH: orders with lossy transport reach it as packets of a JPEG over UDP.

    Attributes:
        quality: of the JPEG, 1 to 100. units: minimum coded units (8 or 16 pixels square) in a segment, which is
            what gets lost as a whole; 0 for a row of them.
        packet_bytes: most that a packet carries; small ones only make sense for small pictures.
        wait_ms: how long the board waits for the rest of a picture, from its first packet on. gap_ms: for packets that
            the last one has overtaken.
        most_lost: share of a picture that may be missing; above it the board does not execute, and the order fails.
        fill: what stands in the place of what was lost. mean: values for the fill ``mean``, one for each channel.
        decode: ``whole`` when nothing more is awaited, or ``rows`` as they come, which leaves the board less to do
            after the last packet and takes it more in all.
        pace_mbit: packets leave at this rate, so that they do not overrun a queue on the way.
        silence_ms: and a round trip twice: an order of which the board says nothing for so long after its last packet
            has failed, everything lost.
        address: what the board's socket is bound to; empty for the address that its SSH session came to.
    """

    quality: int = 85
    units: int = 0
    packet_bytes: int = MOST_BYTES
    wait_ms: float = 30.0
    gap_ms: float = 3.0
    most_lost: float = 0.3
    fill: Literal["grey", "mean", "nearest", "linear"] = "grey"
    mean: tuple[int, ...] = ()
    decode: Literal["whole", "rows"] = "whole"
    pace_mbit: float = 100.0
    silence_ms: float = 150.0
    address: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: a value out of its range, or the fill ``mean`` without one.
        """
        if not 1 <= self.quality <= 100 or not 0 <= self.units <= 0xFFFF:
            raise ValueError("quality must be within 1 to 100, units within 0 to 65535")
        if not SMALLEST_PACKET <= self.packet_bytes <= MOST_BYTES:
            raise ValueError(f"packet_bytes must be within {SMALLEST_PACKET} to {MOST_BYTES}")
        if not 0.0 <= self.most_lost <= 1.0:
            raise ValueError("most_lost must be within [0, 1]")
        if not 0.0 < self.wait_ms <= 10_000.0 or not 0.0 <= self.gap_ms <= self.wait_ms:
            raise ValueError("wait_ms must be positive and at most 10000, gap_ms within 0 to wait_ms")
        if self.pace_mbit <= 0 or self.silence_ms <= 0:
            raise ValueError("pace_mbit and silence_ms must be positive")
        if any(not 0 <= value <= 255 for value in self.mean) or (self.fill == "mean" and not self.mean):
            raise ValueError("the fill mean needs mean: one value within 0 to 255 for each channel")
