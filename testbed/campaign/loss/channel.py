"""Which packets of a stream are lost: each on its own, or in bursts.

The same process as `testbed.model.losses` plays on a live link, drawn for a whole stream at once.

Source: Gilbert, Bell Syst. Tech. J. 39 (1960) 1253 (two states, everything lost in the bad one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def struck(seed: tuple[int, ...], packets: int, frac: float, burst_packets: float) -> NDArray[np.bool_]:
    """Whether each packet is lost, shape (packets,).

    For one seed, what is lost at a small share is lost at a larger one too when each is on its own: shares are
    compared on the same draws.

    Args:
        frac: share lost in the long run, in [0, 1]. burst_packets: mean length of a run of lost packets; 1 or less
            loses each on its own.
    """
    draws = np.random.default_rng(seed).random(packets)
    if burst_packets <= 1.0 or not 0.0 < frac < 1.0:
        return draws < frac
    to_good = 1.0 / burst_packets
    to_bad = min(1.0, to_good * frac / (1.0 - frac))
    lost = np.empty(packets, np.bool_)
    bad = False
    for place, draw in enumerate(draws.tolist()):
        bad = draw < (1.0 - to_good if bad else to_bad)
        lost[place] = bad
    return lost
