from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model.origin import Origin
from testbed.report.profiles.compare import compare_profiles, point_of, with_front
from tests.testbed.report.profiles.samples import CHIP, WALL, profile


def test_a_profile_is_a_point_with_its_weakest_origin():
    point = point_of("a", profile("m", ms=4.0, accuracy=0.8, energy_mj=30.0))
    assert (point.ms, point.accuracy, point.energy_mj, point.kind) == (4.0, 0.8, 30.0, "wall")
    assert point.origin == "derived"
    assert point_of("a", profile("m", service_origin=Origin.ASSUMED)).origin == "assumed"
    assert point_of("a", profile("m", energy_mj=None)).energy_mj is None


def test_the_front_keeps_what_nothing_beats_in_all_three():
    rows = [
        profile("cheap", ms=1.0, accuracy=0.5, energy_mj=1.0),
        profile("good", ms=4.0, accuracy=0.8, energy_mj=9.0),
        profile("thrifty", ms=5.0, accuracy=0.8, energy_mj=4.0),
        profile("beaten", ms=5.0, accuracy=0.7, energy_mj=9.0),
        profile("unmetered", ms=0.1, accuracy=0.9, energy_mj=None),
    ]
    found = with_front(point_of("a", row) for row in rows)
    assert {p.model: p.on_front for p in found} == {
        "cheap": True,
        "good": True,
        "thrifty": True,
        "beaten": False,
        "unmetered": None,
    }


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=12))
def test_what_is_off_the_front_is_beaten_by_something_on_it(rows):
    points = with_front(
        point_of("a", profile(f"m{k}", ms=float(ms), accuracy=acc / 10, energy_mj=float(mj)))
        for k, (ms, acc, mj) in enumerate(rows)
    )
    front = [p for p in points if p.on_front]
    assert front
    for p in points:
        beaten = any(
            q.ms <= p.ms
            and q.energy_mj <= p.energy_mj
            and q.accuracy >= p.accuracy
            and (q.ms, q.energy_mj, q.accuracy) != (p.ms, p.energy_mj, p.accuracy)
            for q in front
        )
        assert beaten is not p.on_front


def test_models_on_both_are_paired_and_metered_alike_they_have_a_ratio():
    found = compare_profiles(
        {
            "a": [profile("m", ms=2.0, energy_mj=10.0, accuracy=0.7), profile("only-a")],
            "b": [profile("m", ms=6.0, energy_mj=5.0, accuracy=0.72)],
        }
    )
    (pair,) = found.pairs
    assert (pair.model, pair.ms_ratio, pair.energy_ratio) == ("m", 3.0, 0.5)
    assert pair.accuracy_points == pytest.approx(2.0)
    assert found.warnings == ()
    assert set(found.joint_front["task/set"]) <= {("a", "m"), ("a", "only-a"), ("b", "m")}


def test_different_kinds_of_metering_are_said_and_never_divided():
    found = compare_profiles({"a": [profile("m")], "b": [profile("m", metered=CHIP)]})
    (pair,) = found.pairs
    assert pair.energy_ratio is None
    assert pair.reason == "metered differently: a wall, b chip"
    assert pair.ms_ratio == 1.0
    assert found.joint_front == {}
    assert "metered differently" in found.warnings[0]
    assert "core supply" in found.warnings[0]


def test_the_same_kind_of_something_else_is_said_too():
    other = WALL.__class__(kind="wall", what="mains of the rack")
    found = compare_profiles({"a": [profile("m")], "b": [profile("m", metered=other)]})
    assert found.pairs[0].energy_ratio == 1.0
    assert "mains of the rack" in found.warnings[0]


def test_what_else_a_reader_must_know():
    found = compare_profiles(
        {
            "a": [profile("m", energy_mj=None, metered=None)],
            "b": [profile("n", task="other/set", service_origin=Origin.ASSUMED)],
        }
    )
    text = " | ".join(found.warnings)
    assert "No power or energy" in text
    assert "assumed" in text
    assert "No task is common" in text
    # One model each: they are set side by side under both names, but not their accuracies.
    (pair,) = found.pairs
    assert pair.model == "m and n"
    assert pair.reason == "no energy of a"
    assert pair.accuracy_points is None


def test_batches_are_listed_where_there_are_several():
    found = compare_profiles({"a": [profile("m", batches=(1, 8)), profile("single")]})
    assert [(row.model, row.batch, row.energy_mj) for row in found.batches] == [
        ("m", 1, 30.0),
        ("m", 8, 15.0),
    ]
    assert found.pairs == ()
    idle = found.subjects[0].idle_w
    assert idle == 3.0
    assert msgspec.json.encode(found)
