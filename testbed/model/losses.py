"""Which packets of a network are lost: each on its own, or in bursts; and what is seen of it.

The same for the emulated network that real sockets run over and for boards in virtual time.
"""

from __future__ import annotations

import random

from msgspec import Struct

from testbed.units import MS, Ns

_SMOOTHING = 0.05
_TELL: Ns = 200 * MS


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
            ValueError: a value outside [0, 1], or a bad state that is never left, or never entered.
        """
        chances = (self.frac, self.to_bad or 0.0, self.to_good, self.bad_frac)
        if not all(0.0 <= chance <= 1.0 for chance in chances):
            raise ValueError("frac, to_bad, to_good and bad_frac must be within [0, 1]")
        if self.to_bad and self.to_good == 0.0:
            raise ValueError("to_good must be positive: a bad state that is never left loses everything")
        if self.to_bad is None and (self.to_good, self.bad_frac) != (1.0, 1.0):
            raise ValueError("to_good and bad_frac say nothing without to_bad: it must be given too")

    @property
    def mean_frac(self) -> float:
        """Share lost in the long run."""
        if not self.to_bad:
            return self.frac
        bad = self.to_bad / (self.to_bad + self.to_good)
        return (1.0 - bad) * self.frac + bad * self.bad_frac


class Loss:
    """One direction's losses, in the order of the packets; the same for the same seed."""

    def __init__(self, options: LossOptions, seed: str) -> None:
        """Begin in the good state."""
        self._good = options.frac
        self._bad = options.bad_frac
        self._to_bad = options.to_bad or 0.0
        self._to_good = options.to_good
        self._random = random.Random(seed).random
        self._is_bad = False
        self._never = options.mean_frac == 0.0

    def strikes(self) -> bool:
        """Whether the next packet is lost."""
        if self._never:
            return False
        if self._to_bad:
            self._is_bad = self._random() < (1.0 - self._to_good if self._is_bad else self._to_bad)
        return self._random() < (self._bad if self._is_bad else self._good)


class SeenLoss:
    """What lossy orders to one board lose, as a moving average that is told a few times a second.

    Attributes:
        frac: smoothed share of packets; ``None`` before the first order.
    """

    def __init__(self) -> None:
        """Nothing was seen."""
        self.frac: float | None = None
        self._told: Ns = 0

    def add(self, frac: float, now: Ns) -> bool:
        """An order lost such a share; whether it is time to tell."""
        before = self.frac
        self.frac = frac if before is None else before + _SMOOTHING * (frac - before)
        due = now - self._told >= _TELL
        if due:
            self._told = now
        return due
