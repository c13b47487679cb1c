"""What a board still has to do once the last packet of a picture is there: decoding the whole, or that packet's rows.

Pictures of 224 pixels in colour, quality 85, half a row of units in a segment; drawn with the spectrum of photographs
(amplitude falls with frequency), since none travel with the package. Both ways in turns on the same packets; processor
time of one thread, nothing lost. ``after`` is from the last packet on, ``all`` with what was decoded while the others
came.
"""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.verdict import arguments, conclude
from testbed.wire.fragments import pack, unpack
from testbed.wire.picture import encode, restore
from testbed.wire.strips import Strips

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testbed.wire.jpeg import Shape

TARGETS = {"rows_after_frac": {"max": 0.5}}
"""Processor time after the last packet by rows over that of decoding the whole then."""
SIDE = 224
QUALITY = 85
UNITS = 7
COLOUR = 0.2
CONTRAST = 36.0
ORDER_BYTES = 96


def photograph(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise whose amplitude falls with frequency, (side, side, 3)."""
    across = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    across[0, 0] = 1.0
    light, *colours = (
        np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / across).real for _ in range(4)
    )
    found = light[..., None] + COLOUR * np.stack(colours, axis=-1)
    found *= CONTRAST / found.std()
    pixels: NDArray[np.uint8] = np.clip(128 + found, 0, 255).astype(np.uint8)
    return pixels


def packets(picture: NDArray[np.uint8]) -> tuple[Shape, list[dict[int, bytes]]]:
    """Shape, and the segments of each packet."""
    shape, segments = encode(picture, quality=QUALITY, interval=UNITS)
    return shape, [unpack(content).segments for content in pack(0, shape, segments, bytes(ORDER_BYTES))]


def whole(shape: Shape, came: list[dict[int, bytes]]) -> tuple[float, float]:
    """Processor seconds after the last packet, and in all."""
    there = {place: data for packet in came for place, data in packet.items()}
    begin = time.thread_time()
    restore(shape, there, 0)
    spent = time.thread_time() - begin
    return spent, spent


def by_rows(shape: Shape, came: list[dict[int, bytes]]) -> tuple[float, float]:
    """The same, each packet's segments decoded as it comes."""
    begin = time.thread_time()
    strips = Strips(shape)
    for packet in came[:-1]:
        strips.add(packet)
    last = time.thread_time()
    strips.add(came[-1])
    strips.finish(0)
    end = time.thread_time()
    return end - last, end - begin


def main() -> int:
    """Play both in turn."""
    n = 20 if arguments(__doc__).quick else 400
    rng = np.random.default_rng(1)
    pictures = [packets(photograph(rng)) for _ in range(min(n, 40))]
    ways = {"whole": whole, "rows": by_rows}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(n):
        for name in sorted(ways, reverse=turn % 2 == 1):
            spent[name].append(ways[name](*pictures[turn % len(pictures)]))
    figures: dict[str, float] = {"packets": median(len(came) for _, came in pictures)}
    for name, seen in spent.items():
        after, total = (1e3 * median(times) for times in zip(*seen, strict=True))
        figures[f"{name}_after_ms"], figures[f"{name}_all_ms"] = after, total
        print(f"{name}: {after:.3f} ms after the last packet, {total:.3f} ms in all, n = {n}")
    figures["rows_after_frac"] = figures["rows_after_ms"] / figures["whole_after_ms"]
    figures["rows_all_frac"] = figures["rows_all_ms"] / figures["whole_all_ms"]
    return conclude("rows", figures, TARGETS, {"pictures": n})


if __name__ == "__main__":
    sys.exit(main())
