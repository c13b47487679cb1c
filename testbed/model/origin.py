"""Where a number comes from; a sum is worth no more than its weakest part."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Origin(enum.Enum):
    """How a figure was obtained, strongest first."""

    MEASURED = "measured"
    """Real silicon did the work and a real instrument timed or metered it."""
    CONTENDED = "measured (contended)"
    """Measured on a host that shares its cores with emulated boards; kept out of model-bench gaps."""
    CITED = "cited"
    """Somebody else's published measurement, with its source."""
    DERIVED = "derived"
    """Computed by us from somebody else's published measurement."""
    EMULATED = "emulated"
    """A virtual board answered, paced and drew watts from a profile."""
    SIMULATED = "simulated"
    """RTL cycles."""
    MODELLED = "modelled"
    """Virtual time."""
    ASSUMED = "assumed"
    """Nobody measured it."""


_STRENGTH = {origin: rank for rank, origin in enumerate(Origin)}


def weakest(origins: Iterable[Origin]) -> Origin:
    """The origin of a sum of parts; ``MEASURED`` for no parts at all."""
    return max(origins, key=_STRENGTH.__getitem__, default=Origin.MEASURED)
