"""A board's own clock: it started at another instant than the host's, and its crystal runs at another rate."""

from __future__ import annotations

import mmap
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BYTES = 8


class Offset:
    """How far a board's clock is ahead [ns], in a file that the processes of the board share.

    The machine sets it at every boot and when the clock is told to jump; agents read it with each stamp, so a jump
    is there at once and costs no message. Whoever injected it can read the truth from the same file.
    """

    def __init__(self, file: Path, *, start: int | None = None) -> None:
        """Map the file.

        Args:
            file: eight bytes, one integer in this machine's order.
            start: make the file, with this offset.

        Raises:
            OSError: there is no such file.
            ValueError: it is too short.
        """
        if start is not None:
            file.touch()
        with file.open("r+b") as opened:
            if start is not None:
                opened.truncate(_BYTES)  # never shorter in between: whoever has it mapped would be killed
            # One aligned word through a cast view: written and read in one piece, never half of each.
            self._word = memoryview(mmap.mmap(opened.fileno(), _BYTES)).cast("q")
        if start is not None:
            self._word[0] = start

    def __call__(self) -> int:
        """The offset now [ns]."""
        return self._word[0]

    def set(self, offset_ns: int) -> None:
        """Change it for everybody [ns]."""
        self._word[0] = offset_ns


class SkewedClock:
    """A monotonic clock with an offset and a drift against the host's.

    Reads ``offset + host * (1 + drift_ppb / 1e9)`` in integer arithmetic, so it never runs backwards for a drift
    above minus one billion parts per billion, unless its offset is changed.

    Source: crystals run 10-50 ppm off, that is up to 50,000 ppb.
    """

    name = "skewed"

    def __init__(
        self,
        *,
        offset: Callable[[], int] = lambda: 0,
        drift_ppb: int = 0,
        host: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Skew ``host``.

        Args:
            offset: asked at every reading [ns].

        Raises:
            ValueError: the clock would stand still or run backwards.
        """
        if drift_ppb <= -1_000_000_000:
            raise ValueError(f"a drift of {drift_ppb} ppb would stop the clock")
        self._offset = offset
        self._drift = drift_ppb
        self._host = host

    def now_ns(self) -> int:
        """The board's time [ns]."""
        host = self._host()
        return self._offset() + host + host * self._drift // 1_000_000_000

    def host_ns(self, span: int) -> int:
        """How long the host's clock runs while this one counts ``span`` [ns]."""
        return span * 1_000_000_000 // (1_000_000_000 + self._drift)
