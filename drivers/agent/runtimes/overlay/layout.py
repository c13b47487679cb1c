"""From pixels to the int8 words that a program reads: (groups, height, width, 8), a channel a lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    def fill(self, pixels: Any) -> None:  # noqa: ANN401 - numpy is not imported here
        """Put one item into the buffer.

        Args:
            pixels: uint8 (channels, height, width).

        Raises:
            ValueError: it has another type or shape.
        """
        if pixels.dtype.name != "uint8" or pixels.shape != self._shape:
            raise ValueError(f"the program takes uint8 {self._shape}, not {pixels.dtype} {pixels.shape}")
        for lane, channel in zip(self._lanes, pixels):
            lane[:] = self._levels[channel]
