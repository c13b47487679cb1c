"""From pixels to the int8 words that a program reads: (groups, height, width, 8), a channel a lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.agent.runtimes.overlay.registers import MASKS

if TYPE_CHECKING:
    from drivers.agent.runtimes.overlay.program_file import ProgramInput


class Layout:
    """Fills one buffer again and again; lanes without a channel hold the neutral value from the start."""

    def __init__(self, given: ProgramInput, buffer: Any) -> None:  # noqa: ANN401 - a Buffer that is a numpy array
        """Lay the buffer out.

        Args:
            buffer: uint8 (``given.size``,) as numpy array; it is written, not flushed.
        """
        import numpy as np

        self._shape = tuple(given.shape)
        _, height, width = self._shape
        words = np.asarray(buffer).view(np.int8).reshape(given.groups, height, width, 8)
        words[:] = given.neutral
        self._lanes = [words[c // 8, :, :, c % 8] for c in range(self._shape[0])]
        self._levels = np.array(given.levels, np.int8)
        self._neutral = given.neutral

    def fill(self, pixels: Any, lost_rows: int = 0) -> int:  # noqa: ANN401 - numpy is not imported here
        """Put one item into the buffer, less what the overlay is to leave out.

        A lost row is left out where its place was taken by what the network holds for nothing (the zero point, so the
        mean of its images): the overlay then reads the same, and an answer does not depend on who filled the gap.

        Args:
            pixels: uint8 (channels, height, width).
            lost_rows: bit y is set where row y was lost.

        Returns:
            The overlay's mask; rows in it keep what an earlier item left in the buffer.

        Raises:
            ValueError: it has another type or shape.
        """
        if pixels.dtype.name != "uint8" or pixels.shape != self._shape:
            raise ValueError(f"the program takes uint8 {self._shape}, not {pixels.dtype} {pixels.shape}")
        mask = 0
        height = self._shape[1]
        if lost_rows and height <= 32 * MASKS:
            lost = [y for y in range(height) if lost_rows >> y & 1]
            empty = (self._levels[pixels[:, lost]] == self._neutral).all(axis=(0, 2))
            mask = sum(1 << y for y, is_empty in zip(lost, empty.tolist()) if is_empty)
        kept = [y for y in range(height) if not mask >> y & 1] if mask else slice(None)
        for lane, channel in zip(self._lanes, pixels):
            lane[kept] = self._levels[channel[kept]]
        return mask
