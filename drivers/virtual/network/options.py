"""The ``network`` table of a board in a lab file."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class LossOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How packets are lost; without ``to_bad`` each on its own, with it in bursts (Gilbert and Elliott).

    Attributes:
        frac: share lost in the good state, which is the only one without ``to_bad``.
        to_bad, to_good: chance per packet of changing to the bad state and back. bad_frac: share lost in the bad state.

    Source: Gilbert, Bell Syst. Tech. J. 39 (1960) 1253; Elliott, ibid. 42 (1963) 1977.
    """

    frac: float = 0.0
    to_bad: float | None = None
    to_good: float = 1.0
    bad_frac: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no probability.

        Raises:
            ValueError: a value outside [0, 1], or a bad state that is never left.
        """
        chances = (self.frac, self.to_bad or 0.0, self.to_good, self.bad_frac)
        if not all(0.0 <= chance <= 1.0 for chance in chances):
            raise ValueError("frac, to_bad, to_good and bad_frac must be within [0, 1]")
        if self.to_bad and self.to_good == 0.0:
            raise ValueError("to_good must be positive: a bad state that is never left loses everything")

    @property
    def mean_frac(self) -> float:
        """Share lost in the long run."""
        if not self.to_bad:
            return self.frac
        bad = self.to_bad / (self.to_bad + self.to_good)
        return (1.0 - bad) * self.frac + bad * self.bad_frac


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
            ValueError: a negative time, a rate or queue that lets nothing through, or two rates.
        """
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
