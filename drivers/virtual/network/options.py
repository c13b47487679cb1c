"""The ``network`` table of a board in a lab file."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from testbed.model.losses import LossOptions


class WayOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One direction.

    Attributes:
        delay_ms: of every packet, after it was put on the wire.
        jitter_ms: mean of an exponential extra delay; packets still arrive in order.
        rate_mbit: of the wire, IP header included; ``None`` does not limit.
        trace: file with the rate over time instead (``.csv`` with columns ``t_s,rate_kbit``, or mahimahi's format: a
            line per chance to deliver 1,504 bytes, in ms); played from the start and over again.
        queue_bytes: how much may wait for the wire; what comes on top is dropped.
        loss: on the wire, so that a lost packet has taken its time there.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    rate_mbit: float | None = None
    trace: str | None = None
    queue_bytes: int = 256 * 1024
    loss: LossOptions = LossOptions()

    def __post_init__(self) -> None:
        """Refuse what no way can be.

        Raises:
            ValueError: a negative time, a rate or queue that lets nothing through, no number, or two rates.
        """
        if not all(map(math.isfinite, (self.delay_ms, self.jitter_ms, self.rate_mbit or 0.0))):
            raise ValueError("delay_ms, jitter_ms and rate_mbit must be finite; without rate_mbit no limit")
        if self.delay_ms < 0 or self.jitter_ms < 0:
            raise ValueError("delay_ms and jitter_ms must not be negative")
        if self.queue_bytes < 1 or (self.rate_mbit is not None and self.rate_mbit <= 0):
            raise ValueError("rate_mbit and queue_bytes must be positive")
        if self.rate_mbit is not None and self.trace is not None:
            raise ValueError("rate_mbit and trace exclude each other")


class NetworkOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both directions between the host and a board.

    Attributes:
        up: towards the board. down: from it.
        backend: ``tun`` emulates every packet and needs root; ``relay`` delays a link's bytes and a datagram link's
            packets without; ``auto`` takes ``tun`` where it can.
        seed: beside the lab's own.
    """

    up: WayOptions = WayOptions()
    down: WayOptions = WayOptions()
    backend: Literal["auto", "tun", "relay"] = "auto"
    seed: int = 0
