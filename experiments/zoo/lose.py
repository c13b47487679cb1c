"""Training images as they come out of a lossy way, for `train.py --lost`.

    .venv/bin/python experiments/zoo/lose.py --copies 2 --out /tmp/testbed-zoo/lost.npz

Runs in the project's own environment, since pictures go through the encoder, packets, decoder and concealment that
boards and `experiments/02-lossy-edge` use: JPEG of quality 85, one 8x8 block a segment, packets of at most 96 bytes, a
line between two received rows in the place of what was lost. Each copy of an image loses each of its packets with a
share drawn from ``SHARES``, by a seed of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from data import training_split

from testbed.campaign.loss.pictures import arrived, send
from testbed.campaign.loss.spec import Packets

SHARES = (0.05, 0.1, 0.2, 0.3)
PACKETS = Packets(quality=85, units=1, limit_bytes=96, order_bytes=0)
FILL = "linear"
SEED = 40_404


def copy_of(images: np.ndarray, seed: int) -> np.ndarray:
    """One copy, uint8 (n, 28, 28)."""
    rng = np.random.default_rng([SEED, seed])
    out = np.empty_like(images)
    for index, image in enumerate(images):
        sent = send(image, PACKETS)
        gone = np.flatnonzero(rng.random(len(sent.packets)) < rng.choice(SHARES)).tolist()
        out[index] = arrived(sent, gone, (FILL,), ())[FILL]
    return out


def main() -> None:
    """Write the copies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, help="an .npz file for train.py --lost")
    chosen = parser.parse_args()
    kept, _ = training_split()
    copies = np.stack([copy_of(kept.images, number) for number in range(chosen.copies)])
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(chosen.out, images=copies)
    print(f"{chosen.out}: {copies.shape}")


if __name__ == "__main__":
    main()
