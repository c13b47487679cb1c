from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, InferenceEnergy, Metered, ProfileBook, Quantity, Service
from testbed.units import from_ms


def service(batch: int, exit_: int, median_ms: float) -> Service:
    return Service(
        batch=batch,
        exit=exit_,
        p=(0.0, 0.5, 1.0),
        ms=(median_ms - 1, median_ms, median_ms + 3),
        origin=Origin.CITED,
        source="made up for this test",
    )


def profile(model: str = "m", task: str = "t") -> HwProfile:
    accuracy = tuple(Quantity(value=v, origin=Origin.MEASURED, source="test") for v in (0.8, 0.9))
    rows = (service(1, 0, 4), service(4, 0, 10), service(1, 1, 8))
    return HwProfile(schema=1, board="b", model=model, task=task, service=rows, accuracy=accuracy)


def test_quantiles_are_linear_between_those_stored_and_flat_beyond():
    row = service(1, 0, 4)
    assert row.quantile(0.0) == from_ms(3)
    assert row.quantile(0.25) == from_ms(3.5)
    assert row.quantile(0.5) == from_ms(4)
    assert row.quantile(0.75) == from_ms(5.5)
    assert row.quantile(1.0) == from_ms(7)


@given(st.floats(0, 1), st.floats(0, 1))
def test_quantiles_never_fall(a, b):
    row = service(1, 0, 4)
    assert row.quantile(min(a, b)) <= row.quantile(max(a, b))


@pytest.mark.parametrize(
    ("batch", "exit_", "ms"),
    [(1, 0, 4), (2, 0, 6), (4, 0, 10), (8, 0, 20), (1, 1, 8), (3, 1, 24), (1, None, 8)],
)
def test_service_of_batches_that_nobody_measured(batch, exit_, ms):
    # Linear between stored sizes, proportional beyond the largest; the last exit if none is named.
    assert profile().service_at(batch, exit_) == from_ms(ms)


def test_a_part_costs_what_lies_between_its_exits():
    made = profile()
    assert made.service_of((0, 1)) == from_ms(4)
    assert made.service_of((1, 2)) == from_ms(4)
    assert made.service_of((0, 2)) == from_ms(8)


def test_a_book_finds_by_board_and_task():
    book = ProfileBook(
        {("b1", "m2"): profile("m2"), ("b1", "m1"): profile("m1"), ("b2", "m3"): profile("m3", "u")}
    )
    assert [p.model for p in book.models_on("b1", "t")] == ["m1", "m2"]
    assert book.models_on("b2", "t") == ()
    assert book.find("b2", "m3") is not None
    assert book.find("b2", "m1") is None
    assert profile().exits == 2


def test_a_profile_knows_what_is_metered_and_the_energy_of_what_was_measured():
    wall = Metered(kind="wall", what="mains")
    said = {"origin": Origin.CITED, "source": "s"}
    made = msgspec.structs.replace(
        profile(),
        energy_mj=(
            InferenceEnergy(batch=1, exit=1, value=5.0, metered=wall, **said),
            InferenceEnergy(batch=1, exit=1, value=3.0, metered=wall, net=True, **said),
        ),
    )
    assert profile().metered is None
    assert made.metered == wall
    assert made.energy_at().value == 5.0
    assert made.energy_at(net=True).value == 3.0
    assert made.energy_at(1, 0) is None
    assert made.energy_at(2) is None
    rail = Quantity(value=1.0, metered=Metered(kind="rail", what="VDD_IN"), **said)
    assert msgspec.structs.replace(profile(), idle_w=rail).metered == rail.metered
