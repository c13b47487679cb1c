"""The ``live`` table of a study of loss: response times of ways to carry pictures over emulated networks."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from testbed.wire.fragments import LIMIT_BYTES

LOSSY, FEC, TCP = "lossy", "fec", "tcp"


class Live(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who sends how many pictures through what.

    Every transport has networks of its own, which lose by the same seeds, and gets the same pictures at the same
    instants; all of them play at the same time.

    Attributes:
        carrier: entry point in ``testbed.carriers``.
        requests: for each transport and kind of loss, at least. warm_up: pictures that each client sends before.
        networks: so many, each with a seed of its own. clients: at each. rate_hz: pictures of a client, Poisson.
        limit_s: a picture that was not answered so long after it was due counts as that.
        pictures: how many different ones. mosaic: so many images of the set across and down make a picture.
        quality, units: of the JPEG (see `testbed.campaign.loss.spec.Packets`).
        rtt_ms: round trip, half each way. rate_mbit: of the wire, each way. losses: shares of packets, each way.
        congestion: controls of the stream that are compared; the first also carries what datagrams could not.
        packet_bytes, wait_ms, gap_ms, silence_ms, most_lost, fill, redundancy, service_ms: as the carrier has them.
        resamples: of the bootstrap.
    """

    carrier: str = "virtual"
    requests: int = 10_000
    warm_up: int = 2
    networks: int = 6
    clients: int = 10
    rate_hz: float = 1.0
    limit_s: float = 30.0
    pictures: int = 64
    mosaic: int = 1
    quality: int = 85
    units: int = 4
    rtt_ms: float = 40.0
    rate_mbit: float = 100.0
    losses: tuple[float, ...] = (0.0, 0.01, 0.05, 0.1, 0.2)
    congestion: tuple[str, ...] = ("cubic", "bbr")
    packet_bytes: int = LIMIT_BYTES
    wait_ms: float = 30.0
    gap_ms: float = 3.0
    silence_ms: float = 150.0
    most_lost: float = 0.5
    fill: Literal["grey", "mean", "nearest", "linear"] = "nearest"
    redundancy: float = 0.2
    service_ms: float = 5.0
    resamples: int = 1000

    @property
    def options(self) -> dict[str, object]:
        """What the carrier is told beside the congestion control."""
        return {
            "packet_bytes": self.packet_bytes,
            "wait_ms": self.wait_ms,
            "gap_ms": self.gap_ms,
            "silence_ms": self.silence_ms,
            "most_lost": self.most_lost,
            "fill": self.fill,
            "redundancy": self.redundancy,
            "service_ms": self.service_ms,
        }

    @property
    def each(self) -> int:
        """Pictures of each client."""
        return -(-self.requests // (self.networks * self.clients))

    def wrong(self, headline: float) -> tuple[str, str] | None:
        """Key and cure of the first value that is out of range.

        Args:
            headline: loss that must be among the losses.
        """
        for key, bad, cure in (
            ("requests", self.requests < 1, "1 or more"),
            ("networks", self.networks < 1 or self.clients < 1, "1 or more networks and clients"),
            ("rate_hz", self.rate_hz <= 0, "A positive rate"),
            ("pictures", self.pictures < 1 or self.mosaic < 1, "1 or more pictures and images in each"),
            ("losses", not all(0 <= loss < 1 for loss in self.losses), "Shares of packets in [0, 1)"),
            ("losses", headline not in self.losses, "The study's loss has to be among them"),
            ("congestion", not self.congestion, "Name at least one, or an empty string for the system's"),
            ("limit_s", self.limit_s <= 0 or self.warm_up < 0, "A positive limit, no negative warm_up"),
        ):
            if bad:
                return key, cure
        return None


def network_table(live: Live, loss: float, burst_packets: float) -> dict[str, object]:
    """A board's ``network`` table with that loss each way; bursts where their mean length is above 1."""
    lost: dict[str, float] = {"frac": loss}
    if burst_packets > 1.0 and loss > 0:
        to_good = 1.0 / burst_packets
        lost = {"to_bad": to_good * loss / (1.0 - loss), "to_good": to_good, "bad_frac": 1.0}
    way = {"delay_ms": live.rtt_ms / 2, "rate_mbit": live.rate_mbit, "loss": lost}
    return {"up": way, "down": way, "backend": "tun"}
