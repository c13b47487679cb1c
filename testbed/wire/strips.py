"""A picture decoded segment by segment while the others are still on their way, in any order.

Each segment makes a little JPEG of its own: a header for its few units, its bytes, an end. So when the last packet is
there, only that packet's segments are left to decode. It costs more in all, a header for every segment, and is not the
same to the bit as decoding the whole: a decoder that sees the whole mixes halved colours across segments when it
enlarges them, here every segment keeps to itself. Hence thresholds are made with the same choice (`DECODES`).

Needs numpy and Pillow, which are imported when first used; runs on boards.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from testbed.errors import RemoteWireError
from testbed.wire.jpeg import GREY, alone
from testbed.wire.picture import conceal, lost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.wire.jpeg import Shape

DECODES = ("whole", "rows")
"""All at once when nothing more is awaited, or each segment when it comes."""
ROWS = 1


class Strips:
    """What has come of one picture, as pixels. For one thread.

    Attributes:
        there: places of the segments that are decoded.
    """

    def __init__(self, shape: Shape) -> None:
        """Nothing has come, and nothing is allocated before it does."""
        self._shape = shape
        self._pixels: Any = None
        self._headers: dict[int, bytes] = {}
        self.there: set[int] = set()

    def add(self, segments: Mapping[int, bytes]) -> None:
        """Decode those that are new, by place.

        Raises:
            RemoteWireError: one cannot be decoded.
        """
        for place, segment in segments.items():
            if place not in self.there:
                self._put(place, self._decode(place, segment))
                self.there.add(place)

    def finish(self, fill: int, mean: Sequence[int] = ()) -> Any:  # noqa: ANN401 - numpy is not imported here
        """The picture with something in the place of what never came, uint8 (h, w) or (h, w, 3).

        Args:
            fill, mean: as for `testbed.wire.picture.restore`.
        """
        shape = self._shape
        pixels = self._canvas()[: shape.height, : shape.width]
        if len(self.there) < shape.segments:
            conceal(pixels, lost(shape, self.there), fill, mean)
        return pixels

    def _decode(self, place: int, segment: bytes) -> Any:  # noqa: ANN401
        """Pixels of a segment's units side by side, (unit, units * unit, ...)."""
        import numpy as np
        from PIL import Image

        shape = self._shape
        across, down = shape.units
        units = min(shape.interval, across * down - place * shape.interval)
        head = self._headers.get(units)
        if head is None:
            head = self._headers[units] = alone(shape, units)
        try:
            with Image.open(io.BytesIO(head + segment + b"\xff\xd9"), formats=("JPEG",)) as image:
                return np.asarray(image)
        except (OSError, ValueError, SyntaxError) as error:
            raise RemoteWireError(f"segment {place} of the picture cannot be decoded: {error}") from error

    def _put(self, place: int, pixels: Any) -> None:  # noqa: ANN401
        """Where they belong; a segment that goes on in the next row of units is laid down in parts."""
        unit, (across, _) = self._shape.unit, self._shape.units
        canvas, at, taken = self._canvas(), place * self._shape.interval, 0
        count = pixels.shape[1] // unit
        while taken < count:
            row, column = divmod(at + taken, across)
            part = min(count - taken, across - column)
            canvas[row * unit : (row + 1) * unit, column * unit : (column + part) * unit] = pixels[
                :, taken * unit : (taken + part) * unit
            ]
            taken += part

    def _canvas(self) -> Any:  # noqa: ANN401
        """Room for all units, mid-grey at first."""
        import numpy as np

        if self._pixels is None:
            (across, down), unit = self._shape.units, self._shape.unit
            planes = () if self._shape.subsampling == GREY else (3,)
            self._pixels = np.full((down * unit, across * unit, *planes), 128, np.uint8)
        return self._pixels
