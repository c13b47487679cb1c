"""Options of a carrier."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from testbed.wire.datagrams import LIMIT_BYTES
from testbed.wire.picture import FILLS

Transport = Literal["lossy", "tcp", "fec"]


class CarrierOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How pictures are carried and answered.

    Attributes:
        packet_bytes: most that a datagram carries, before it is sealed.
        wait_ms: how long the far end waits for the rest of a picture in datagrams, from its first one on.
            gap_ms: for datagrams that the last one has overtaken.
        silence_ms: and two round trips: a picture of which nothing was heard for so long goes over the stream.
        most_lost: share of a picture that may be missing; above it, it is asked for again over the stream.
        fill: what stands in the place of what was lost.
        redundancy: coded datagrams beside the picture's own, as a share of these; rounded up in each block.
        congestion: control of the stream, as the kernel names it; empty for the system's default.
        service_ms: the far end is busy for so long with each picture after it was decoded, one at a time.
    """

    packet_bytes: int = LIMIT_BYTES
    wait_ms: float = 30.0
    gap_ms: float = 3.0
    silence_ms: float = 150.0
    most_lost: float = 0.5
    fill: Literal["grey", "mean", "nearest", "linear"] = "nearest"
    redundancy: float = 0.2
    congestion: str = ""
    service_ms: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: a value out of its range.
        """
        if not 256 <= self.packet_bytes <= LIMIT_BYTES:
            raise ValueError(f"packet_bytes must be within 256 to {LIMIT_BYTES}")
        if not 0.0 < self.wait_ms <= 10_000.0 or not 0.0 <= self.gap_ms <= self.wait_ms:
            raise ValueError("wait_ms must be positive and at most 10000, gap_ms within 0 to wait_ms")
        if not 0.0 <= self.most_lost <= 1.0 or not 0.0 < self.redundancy <= 4.0:
            raise ValueError("most_lost must be within [0, 1], redundancy within (0, 4]")
        if self.silence_ms <= 0 or self.service_ms < 0:
            raise ValueError("silence_ms must be positive, service_ms not negative")

    @property
    def fill_index(self) -> int:
        """Place of the fill in `testbed.wire.picture.FILLS`."""
        return FILLS.index(self.fill)
