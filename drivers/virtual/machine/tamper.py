"""Faults on a stream of bytes: noise that slips in, bits that flip, silence."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Tamper:
    """What happens to the bytes of one direction; nothing until it is asked for."""

    def __init__(self, *, seed: int = 0, now: Callable[[], float] = time.monotonic) -> None:
        """Let everything through; ``now`` is in seconds."""
        self._random = random.Random(f"tamper/{seed}")
        self._now = now
        self._noise = 0
        self._flips = 0
        self._silent_until = 0.0

    def inject(self, count: int) -> None:
        """Put ``count`` random bytes in front of what passes next."""
        self._noise += count

    def flip(self, count: int) -> None:
        """Flip a bit in each of ``count`` bytes that pass from now on."""
        self._flips += count

    def stall(self, seconds: float) -> None:
        """Let nothing through for a while; nothing is lost."""
        self._silent_until = max(self._silent_until, self._now() + seconds)

    def end_stall(self) -> None:
        """Let everything through again at once."""
        self._silent_until = 0.0

    @property
    def silence_s(self) -> float:
        """How long nothing may pass yet [s]."""
        return max(self._silent_until - self._now(), 0.0)

    @property
    def noisy(self) -> bool:
        """There is noise to send even without traffic."""
        return self._noise > 0

    def apply(self, data: bytes) -> bytes:
        """What becomes of some bytes."""
        if self._flips and data:
            count = min(self._flips, len(data))
            damaged = bytearray(data)
            for at in self._random.sample(range(len(data)), count):
                damaged[at] ^= 1 << self._random.randrange(8)
            self._flips -= count
            data = bytes(damaged)
        if self._noise:
            data = self._random.randbytes(self._noise) + data
            self._noise = 0
        return data
