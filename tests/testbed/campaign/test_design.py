from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest

from testbed import resources
from testbed.campaign.design import design
from testbed.campaign.spec import Campaign, read_campaign

if TYPE_CHECKING:
    from collections.abc import Callable

POLICIES = ("edgesight", "edge-only", "dc-only")


@pytest.fixture
def campaign() -> Callable[..., Campaign]:
    hello = read_campaign(resources.experiment("00-hello"))

    def make(**changes: object) -> Campaign:
        return msgspec.structs.replace(hello, **changes)

    return make


def test_every_policy_plays_once_in_every_block_on_the_blocks_own_seed(campaign):
    trials = design(campaign(blocks=5, policies=POLICIES, seed=7))
    assert [trial.number for trial in trials] == list(range(15))
    assert len({trial.id for trial in trials}) == 15
    for block in range(5):
        of_block = [trial for trial in trials if trial.block == block]
        assert sorted(trial.policy for trial in of_block) == sorted(POLICIES)
        assert len({trial.seed for trial in of_block}) == 1
    assert len({trial.seed for trial in trials}) == 5
    assert all(a.block <= b.block for a, b in pairwise(trials))


def test_the_order_within_a_block_is_drawn_and_repeatable(campaign):
    orders = {
        tuple(trial.policy for trial in design(campaign(blocks=1, policies=POLICIES, seed=seed)))
        for seed in range(40)
    }
    assert len(orders) == 6
    assert design(campaign(seed=3)) == design(campaign(seed=3))


def test_no_policy_is_favoured_by_its_place_in_the_blocks(campaign):
    # Drift within a block (a host that warms up) meets each policy at each place: 900 blocks give 300 +- 14 each.
    places = [[0] * 3 for _ in POLICIES]
    for trial in design(campaign(blocks=900, policies=POLICIES, seed=1)):
        places[POLICIES.index(trial.policy)][trial.number % 3] += 1
    assert all(230 < count < 370 for row in places for count in row)


def test_blocks_of_one_campaign_play_in_different_orders(campaign):
    trials = design(campaign(blocks=12, policies=POLICIES, seed=1))
    orders = {tuple(t.policy for t in trials if t.block == block) for block in range(12)}
    assert len(orders) > 1
