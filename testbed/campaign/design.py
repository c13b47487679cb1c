"""From factors to an order of trials: randomised within blocks, so that drift favours nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from testbed.campaign.spec import Campaign


class Trial(Struct, frozen=True, kw_only=True):
    """One point of the design.

    Attributes:
        id: ``b<block>-<policy>``; number: its place in the run, from 0.
        seed: of the block's arrivals and inputs, the same for all policies of the block.
    """

    id: str
    number: int
    policy: str
    block: int
    seed: int


def design(campaign: Campaign) -> list[Trial]:
    """All trials in the order they are played."""
    rng = np.random.default_rng([campaign.seed, 0xB10C])
    trials: list[Trial] = []
    for block in range(campaign.blocks):
        for policy in rng.permutation(np.array(campaign.policies, dtype=object)):
            trials.append(
                Trial(
                    id=f"b{block}-{policy}",
                    number=len(trials),
                    policy=str(policy),
                    block=block,
                    seed=campaign.seed * 10_000 + block,
                )
            )
    return trials
