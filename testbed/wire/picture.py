"""Pixels to a picture of independent segments and back, with something in the place of what was lost.

Both ends use it: a host encodes, a board decodes, and calibration does both so that thresholds meet what boards will
see. Needs numpy and Pillow, which are imported when first used; runs on boards.

Arrays are uint8. A model's input is (c, h, w), (h, w, c) or (h, w) with c 1 or 3; in between it is (h, w) or (h, w, 3).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire.jpeg import FULL, HALF, join, split

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from testbed.wire.jpeg import Shape

FILLS = ("grey", "mean", "nearest", "linear")
"""What stands where nothing arrived: mid-grey, a given mean, the nearest received row, or a line between two rows."""
_MEAN, _NEAREST, _LINEAR = 1, 2, 3
_SUBSAMPLING = {FULL: 0, HALF: 2}  # Pillow's numbers
_BILINEAR: Any = 2  # its name moved between versions of Pillow


def encode(
    pixels: Any,  # noqa: ANN401 - numpy is not imported here
    *,
    quality: int,
    interval: int = 0,
    subsampling: int = HALF,
) -> tuple[Shape, list[bytes]]:
    """Shape and segments of one model input.

    Args:
        quality: 1 to 100. interval: units in a segment; 0 for a row of them. subsampling: of pictures in colour.

    Raises:
        LocalWireError: the array is no picture.
    """
    from PIL import Image

    flat = _picture(pixels)
    image = Image.fromarray(flat)
    options: dict[str, Any] = {"restart_marker_blocks": interval} if interval else {"restart_marker_rows": 1}
    if image.mode != "L":
        options["subsampling"] = _SUBSAMPLING[subsampling]
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, **options)
    return split(out.getvalue(), quality)


def restore(
    shape: Shape,
    segments: Mapping[int, bytes],
    fill: int,
    mean: Sequence[int] = (),
) -> Any:  # noqa: ANN401
    """The picture with what is there, shape (h, w) or (h, w, 3).

    Args:
        fill: index into `FILLS`. mean: for the fill ``mean``, one value for each channel.

    Raises:
        RemoteWireError: it cannot be decoded.
    """
    import numpy as np
    from PIL import Image

    data = join(shape, segments)
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            pixels = np.array(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise RemoteWireError(f"the picture cannot be decoded: {error}") from error
    if len(segments) < shape.segments:
        conceal(pixels, lost(shape, segments), fill, mean)
    return pixels


def lost(shape: Shape, there: Collection[int]) -> Any:  # noqa: ANN401
    """Which pixels lie in segments that are not there, bool (h, w)."""
    import numpy as np

    across, down = shape.units
    gone = np.ones(across * down, np.bool_)
    for place in there:
        gone[place * shape.interval : (place + 1) * shape.interval] = False
    grid = gone.reshape(down, across).repeat(shape.unit, axis=0).repeat(shape.unit, axis=1)
    return grid[: shape.height, : shape.width]


def lost_rows(shape: Shape, there: Collection[int], given: Sequence[int]) -> int:
    """Rows of which nothing is there: bit y is row y of a model's input of shape ``given``.

    None where the picture is scaled to it: what was lost mixes with its neighbours then.
    """
    size = given[1:] if _kind(given) == "chw" else given[:2]
    if len(there) == shape.segments or tuple(size) != (shape.height, shape.width):
        return 0
    whole = lost(shape, there).all(axis=1)
    return sum(1 << y for y, gone in enumerate(whole.tolist()) if gone)


def rows_of(mask: int) -> list[int]:
    """Numbers of the rows in such a mask, ascending."""
    return [y for y in range(mask.bit_length()) if mask >> y & 1]


def conceal(pixels: Any, gone: Any, fill: int, mean: Sequence[int] = ()) -> None:  # noqa: ANN401
    """Write over what was lost, in place; a column of which nothing arrived becomes grey.

    Args:
        pixels: uint8 (h, w) or (h, w, 3). gone: bool (h, w). fill, mean: as in `restore`.
    """
    import numpy as np

    pixels[gone] = 128
    if fill == _MEAN and mean:
        pixels[gone] = mean if pixels.ndim == 3 else mean[0]
    if fill not in (_NEAREST, _LINEAR):
        return
    height = gone.shape[0]
    rows = np.arange(height)[:, None]
    above = np.maximum.accumulate(np.where(gone, -1, rows), axis=0)
    below = np.minimum.accumulate(np.where(gone, height, rows)[::-1], axis=0)[::-1]
    mend = gone & ((above >= 0) | (below < height))
    y, x = np.nonzero(mend)
    up, down = above[y, x], below[y, x]
    up, down = np.where(up < 0, down, up), np.where(down >= height, up, down)
    if fill == _NEAREST:
        pixels[y, x] = pixels[np.where(y - up <= down - y, up, down), x]
        return
    weight = np.where(down > up, (y - up) / np.maximum(down - up, 1), 0.0)
    if pixels.ndim == 3:
        weight = weight[:, None]
    pixels[y, x] = np.rint(pixels[up, x] * (1 - weight) + pixels[down, x] * weight)


def fit(pixels: Any, shape: Sequence[int]) -> Any:  # noqa: ANN401
    """A picture as a model's input of that shape; another size is scaled (bilinear).

    Raises:
        RemoteWireError: no picture has that shape, or this one has other channels.
    """
    import numpy as np

    kind = _kind(shape)
    channels = 3 if pixels.ndim == 3 else 1
    *size, wanted = {"": (0, 0), "hw": (*shape, 1), "chw": (*shape[1:], shape[0])}.get(kind, shape)
    if not kind or channels != wanted:
        raise RemoteWireError(f"a picture of {channels} channels is no input of shape {list(shape)}")
    if pixels.shape[:2] != tuple(size):
        from PIL import Image

        pixels = np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), _BILINEAR))
    if kind == "chw" and channels == 3:
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels).reshape(tuple(shape))


def _kind(shape: Sequence[int]) -> str:
    """How a model's input is laid out; empty where it is no picture."""
    if len(shape) == 2:
        return "hw"
    if len(shape) == 3 and shape[0] in (1, 3):
        return "chw"
    return "hwc" if len(shape) == 3 and shape[2] in (1, 3) else ""


def _picture(pixels: Any) -> Any:  # noqa: ANN401
    """As Pillow wants it."""
    import numpy as np

    kind = _kind(pixels.shape)
    if not kind or str(pixels.dtype) != "uint8":
        raise LocalWireError(
            f"an input of {pixels.dtype}{list(pixels.shape)} is no picture",
            cure="Order it over the reliable path",
        )
    if kind == "chw":
        pixels = pixels[0] if pixels.shape[0] == 1 else pixels.transpose(1, 2, 0)
    elif kind == "hwc" and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return np.ascontiguousarray(pixels)
