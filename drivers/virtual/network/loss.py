"""Which packets are lost."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.virtual.network.options import LossOptions


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
