"""Pictures carried to a far end over a network that loses packets, to compare ways of carrying them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from testbed.units import Ns


class CarrierSpec(Struct, frozen=True, kw_only=True):
    """One network with clients at its near end and one far end, as its driver gets it.

    Attributes:
        name: of this carrier, for logs and errors. transport: ``lossy``, ``tcp`` or ``fec``.
        clients: how many there are, each with connections of its own.
        pictures: baseline JPEGs with restart markers, all of one ``quality``.
        options: of the transport. network: both directions, as a board's ``network`` table in a lab file.
        seed: of everything random about the network; the same one loses the same packets by number.
        file: where options come from, for errors. state: folder for logs of this run.
    """

    name: str
    transport: str
    clients: int
    pictures: tuple[bytes, ...]
    quality: int
    options: dict[str, Any]
    network: dict[str, Any]
    seed: str
    file: Path
    state: Path


class Carried(Struct, frozen=True, kw_only=True):
    """What became of one picture.

    Attributes:
        answered: when the answer was there, on the monotonic clock [ns].
        lost_frac: share of the picture that the far end had to do without.
        again: the picture had to be sent once more, over the reliable stream.
    """

    answered: Ns
    lost_frac: float
    again: bool
