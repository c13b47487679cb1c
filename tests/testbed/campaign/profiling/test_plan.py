from __future__ import annotations

import pytest

from testbed.campaign.profiling.plan import Cell, Plan, shuffled
from testbed.errors import ConfigError


def test_alone_at_every_exit_and_together_at_the_last():
    plan = Plan(board="b", model="m", batches=(1, 4), instances=(1, 2), beside="other")
    cells = plan.cells(2)
    assert [(c.exit, c.batch) for c in cells if c.alone] == [(0, 1), (0, 4), (1, 1), (1, 4)]
    together = [(c.exit, c.batch, c.instances, c.beside) for c in cells if not c.alone]
    assert together == [(1, 1, 1, "other"), (1, 1, 2, ""), (1, 4, 1, "other"), (1, 4, 2, "")]
    assert str(Cell(exit=1, batch=4, instances=2)) == "exit 1, batch 4, 2 at a time"


def test_the_order_is_seeded_and_differs_from_round_to_round():
    cells = Plan(board="b", model="m", batches=(1, 2, 4, 8, 16, 32)).cells(1)
    rounds = [shuffled(cells, 7, turn) for turn in range(20)]
    assert rounds == [shuffled(reversed(cells), 7, turn) for turn in range(20)]
    assert all(sorted(order) == list(cells) for order in rounds)
    assert len({tuple(order) for order in rounds}) > 15
    assert {order[0] for order in rounds} == set(cells), "no cell is always first or last"
    assert shuffled(cells, 8, 0) != rounds[0]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"batches": (2, 4)}, "--batch"),
        ({"batches": (1, 4, 2)}, "--batch"),
        ({"instances": ()}, "--instances"),
        ({"ci_frac": 0.0}, "--ci-frac"),
        ({"budget_s": -1.0}, "--budget-s"),
        ({"budget_s": float("nan")}, "--budget-s"),
        ({"energy_s": float("inf")}, "--energy-s"),
        ({"accuracy_s": -0.5}, "--accuracy-s"),
        ({"beside": "m"}, "--beside"),
    ],
)
def test_what_makes_no_profile_is_refused(change, key):
    with pytest.raises(ConfigError) as caught:
        Plan(board="b", model="m", **change)
    assert caught.value.key == key
    assert caught.value.cure
