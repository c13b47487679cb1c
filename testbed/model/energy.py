"""Power samples and the energy computed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.ids import BoardId
from testbed.model.origin import Origin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PowerTrace:
    """Samples of one rail.

    Attributes:
        t: int64 (n,) [ns], strictly increasing, coordinator's clock.
        power_w: float64 (n,) [W].
        rail: label as the meter gives it; ``meter``: driver and identity; ``board``: what it feeds.
        bound: uncertainty of the stamps on the coordinator's clock [ns].
    """

    __slots__ = ("board", "bound", "meter", "origin", "power_w", "rail", "t")

    def __init__(
        self,
        *,
        t: NDArray[np.int64],
        power_w: NDArray[np.float64],
        rail: str,
        meter: str,
        board: BoardId,
        origin: Origin,
        bound: int = 0,
    ) -> None:
        """Check shapes and order once.

        Raises:
            ValueError: shapes differ, or stamps do not increase.
        """
        if t.shape != power_w.shape or t.ndim != 1:
            raise ValueError(f"t {t.shape} and power_w {power_w.shape} must both be (n,)")
        if t.size > 1 and not bool((t[1:] > t[:-1]).all()):
            raise ValueError("stamps of a power trace must increase strictly")
        self.t = t
        self.power_w = power_w
        self.rail = rail
        self.meter = meter
        self.board = board
        self.origin = origin
        self.bound = bound


class Energy(Struct, frozen=True, kw_only=True):
    """Energy over an interval; every figure is ``None`` with a reason where it could not be had.

    Attributes:
        gross_j: all energy drawn. idle_j: baseline over the same interval. sigma_j: standard uncertainty of the net.
        scope: the boards (and rails) it covers.
        reason: why the figures are missing, or an empty string.
    """

    gross_j: float | None
    idle_j: float | None
    sigma_j: float | None
    scope: str
    origin: Origin
    reason: str = ""

    @property
    def net_j(self) -> float | None:
        """Energy above idle."""
        if self.gross_j is None or self.idle_j is None:
            return None
        return self.gross_j - self.idle_j
