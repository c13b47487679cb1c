"""Twelve systems as skeletons: if one of them cannot be said in these types, the types are wrong."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from testbed.contracts.toy_lab import ToyLab
from testbed.model.action import Answer, Infer, Reject
from testbed.units import Ns
from tests.policy_shapes.shapes import SHAPES

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(f"tests.policy_shapes.{request.param}")


@pytest.fixture
def lab(shape: ModuleType) -> ToyLab:
    made: ToyLab = shape.lab()
    made.run()
    return made


def test_its_mechanism_does_what_makes_it_that_system(shape: ModuleType, lab: ToyLab) -> None:
    shape.check(lab)


def test_every_request_ends_once(lab: ToyLab) -> None:
    assert not lab.cases
    assert lab.finished_count == len(lab.ends) == len(lab._requests)
    closing = [o.request for _, o in lab.orders if isinstance(o, Answer | Reject)]
    assert len(closing) == len(set(closing))


def test_most_requests_are_answered(lab: ToyLab) -> None:
    assert sum(end.answer is not None for end in lab.ends.values()) > 0.5 * len(lab.ends)


def test_no_lane_is_booked_twice(lab: ToyLab) -> None:
    for machine in lab.machines.values():
        lanes: dict[int, list[tuple[Ns, Ns]]] = {}
        for run in machine.runs:
            lanes.setdefault(run.order.instance, []).append((run.started, run.finished))
        for spans in lanes.values():
            spans.sort()
            assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_the_same_calls_give_the_same_orders(shape: ModuleType, lab: ToyLab) -> None:
    again = shape.lab()
    again.run()
    assert again.orders == lab.orders
    assert {i: e.outcome for i, e in again.ends.items()} == {i: e.outcome for i, e in lab.ends.items()}


def test_all_twelve_are_there() -> None:
    assert len(set(SHAPES)) == 12


def test_orders_are_used(lab: ToyLab) -> None:
    assert any(isinstance(order, Infer) for _, order in lab.orders)
