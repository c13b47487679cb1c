"""Boards in virtual time."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from testbed.coordinator.modelled import Answers, LinkModel, ModelledBoard
from testbed.model.action import ExitRule, Infer, Item
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Quantity, Service
from testbed.model.wires import Chances
from testbed.units import MS, S

P = (0.0, 0.5, 1.0)


def profile(*ms: tuple[float, float, float]) -> HwProfile:
    """One row of quantiles per exit, batch 1."""
    accuracy = tuple(Quantity(value=0.9, origin=Origin.ASSUMED, source="test") for _ in ms)
    rows = tuple(
        Service(batch=1, exit=i, p=P, ms=row, origin=Origin.ASSUMED, source="test")
        for i, row in enumerate(ms)
    )
    return HwProfile(schema=1, board="b", model="m", task="t", service=rows, accuracy=accuracy)


SCORES = np.array([[0.6, 0.4], [0.1, 0.9]], dtype=np.float32)


def board(link: LinkModel | None = None, *rows: tuple[float, float, float]) -> ModelledBoard:
    rows = rows or ((5, 5, 5),)
    answers = {"m": Answers([SCORES] * len(rows))}
    return ModelledBoard("b", link or LinkModel(), {"m": profile(*rows)}, answers, np.random.default_rng(1))


def order(action: int, rule: ExitRule | None = None, instance: int = 0) -> Infer:
    item = Item(request=action) if rule is None else Item(request=action, exit=rule)
    return Infer(id=action, board="b", model="m", batch=(item,), instance=instance)


def test_lanes_queue_in_order_and_do_not_wait_for_each_other() -> None:
    b = board()
    one, two = b.take(order(1), (0,), 100, 0), b.take(order(2), (0,), 100, 0)
    other = b.take(order(3, instance=1), (0,), 100, 0)
    assert (one.started, one.finished) == (0, 5 * MS)
    assert (two.started, two.finished) == (5 * MS, 10 * MS)
    assert other.started == 0


def test_a_slow_link_carries_one_upload_after_the_other() -> None:
    b = board(LinkModel(rtt=2 * MS, up_bytes_per_s=1000, down_bytes_per_s=12800, reply_bytes=128))
    one, two = b.take(order(1), (0,), 100, 0), b.take(order(2), (0,), 100, 0)
    assert one.received == 101 * MS
    assert two.received == 201 * MS
    assert one.answered == one.finished + MS + 10 * MS


def test_a_short_message_does_not_overtake_payloads() -> None:
    b = board(LinkModel(rtt=2 * MS, up_bytes_per_s=1000))
    assert b.reached(0) == MS
    b.take(order(1), (0,), 100, 0)
    assert b.reached(0) == 101 * MS
    assert b.reached(200 * MS) == 201 * MS


def test_a_recorded_rate_is_felt_and_not_shared() -> None:
    link = LinkModel(rtt=2 * MS, up_wire=Chances([10 * MS, 20 * MS, 40 * MS], 40 * MS))
    for _ in range(2):  # boards of one link do not use up each other's chances
        b = board(link)
        assert [b.take(order(i), (0,), 1000, 0).received for i in (1, 2, 3)] == [11 * MS, 21 * MS, 21 * MS]


def test_draws_follow_the_profile() -> None:
    b = board(None, (1, 2, 10))
    taken = []
    for i in range(3000):
        flying = b.take(order(i), (0,), 0, i * S)
        taken.append(flying.finished - flying.started)
    assert np.median(taken) == pytest.approx(2 * MS, rel=0.05)
    assert min(taken) >= MS
    assert max(taken) <= 10 * MS
    assert np.quantile(taken, 0.75) == pytest.approx(6 * MS, rel=0.05)


@pytest.mark.parametrize(
    ("sample", "rule", "exit_"),
    [
        (1, ExitRule(min_confidence=(0.8, 0.8)), 0),
        (0, ExitRule(min_confidence=(0.8, 0.5)), 1),
        (0, ExitRule(min_confidence=(0.8, 0.8)), 2),
        (0, ExitRule(stop_after=2 * MS), 1),
        (0, ExitRule(), 2),
        (0, ExitRule.at(1), 1),
    ],
)
def test_an_item_leaves_where_its_rule_says_and_takes_as_long(
    sample: int, rule: ExitRule, exit_: int
) -> None:
    flying = board(None, (1, 1, 1), (3, 3, 3), (9, 9, 9)).take(order(1, rule), (sample,), 0, 0)
    assert flying.execution is not None
    assert flying.execution.items[0].exit == exit_
    assert flying.service == (1, 3, 9)[exit_] * MS
    assert flying.execution.items[0].label == (0, 1)[sample]
    assert flying.execution.origin is Origin.MODELLED


def test_cancelling_what_waits_moves_up_what_is_behind_it() -> None:
    b = board()
    one, two, three = (b.take(order(i), (0,), 0, 0) for i in (1, 2, 3))
    assert three.started == 10 * MS
    moved = b.cancel(two, 2 * MS)
    assert moved is not None
    assert [(flying.order, flying.started) for flying in moved] == [(three.order, 5 * MS)]
    assert b.cancel(one, 2 * MS) is None, "it has started"
    assert b.busy == {"m": 10 * MS}


def watts(value: float, sigma: float | None) -> Quantity:
    return Quantity(value=value, origin=Origin.ASSUMED, source="test", sigma=sigma)


def powered(idle: Quantity | None, active: Quantity | None) -> ModelledBoard:
    known = msgspec.structs.replace(profile((5, 5, 5)), idle_w=idle, active_w=active)
    return ModelledBoard("b", LinkModel(), {"m": known}, {"m": Answers([SCORES])}, np.random.default_rng(1))


def test_energy_is_idle_over_the_span_and_the_rest_while_it_works() -> None:
    b = powered(watts(2.0, 0.1), watts(6.0, 0.5))
    for i in range(10):
        b.take(order(i), (0,), 0, 0)
    found = b.energy(1 * S)
    assert found.idle_j == pytest.approx(2.0)
    assert found.net_j == pytest.approx(4.0 * 0.050)
    assert found.sigma_j == pytest.approx(0.050 * np.hypot(0.5, 0.1))
    assert (found.origin, found.reason) == (Origin.MODELLED, "")
    assert powered(watts(2.0, None), watts(6.0, 0.5)).energy(S).sigma_j is None


@pytest.mark.parametrize(
    ("idle", "active", "instance", "why"),
    [
        (None, watts(6, 1), 0, "no power in its profiles"),
        (watts(2, 1), None, 0, "no power of m in its profiles"),
        (watts(2, 1), watts(6, 1), 1, "2 instances worked side by side"),
    ],
)
def test_energy_that_no_profile_tells_is_none_with_a_reason(
    idle: Quantity | None, active: Quantity | None, instance: int, why: str
) -> None:
    b = powered(idle, active)
    b.take(order(1), (0,), 0, 0)
    b.take(order(2, instance=instance), (0,), 0, 0)
    found = b.energy(S)
    assert (found.gross_j, found.net_j) == (None, None)
    assert why in found.reason


def test_long_finished_orders_are_forgotten() -> None:
    b = board()
    for i in range(1000):
        b.take(order(i), (0,), 0, i * S)
    assert len(b._lanes[0]) <= 3
