from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.report.profiles.compare import compare_profiles, point_of
from testbed.report.profiles.figures import draw_profiles, front_line, picture
from tests.testbed.report.profiles.samples import CHIP, profile

TASK = "task/set: accuracy, service time and energy"
BATCH = "Service time and energy against the batch"


def test_energies_metered_differently_get_axes_of_their_own():
    rows = [profile(f"m{k}", ms=1.0 + k, energy_mj=2.0 + k) for k in range(3)]
    alike = draw_profiles(compare_profiles({"a": rows, "b": rows}))[TASK]
    assert alike.count("energy of an inference [mJ]") == 1
    other = [profile(f"m{k}", ms=1.0 + k, energy_mj=2.0 + k, metered=CHIP) for k in range(3)]
    mixed = draw_profiles(compare_profiles({"a": rows, "b": other}))[TASK]
    assert "metered: wall" in mixed
    assert "metered: chip" in mixed


def test_batches_are_drawn_where_there_are_several_and_few_models_are_left_to_the_table():
    found = compare_profiles({"a": [profile("m", batches=(1, 2, 8))]})
    assert list(draw_profiles(found)) == [BATCH]
    assert "energy of an item" in draw_profiles(found)[BATCH]
    assert draw_profiles(compare_profiles({"a": [profile("m")]})) == {}


def test_the_same_profiles_give_the_same_picture():
    found = compare_profiles({"a": [profile(f"m{k}", ms=1.0 + 9 * k) for k in range(3)]})
    assert picture(found) == picture(found)
    assert picture(compare_profiles({"a": [profile("m")]})).startswith("<svg")


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=15))
def test_the_front_rises_with_the_price_and_nothing_lies_above_it(rows):
    points = [
        point_of("a", profile(f"m{k}", ms=float(ms), accuracy=a / 10)) for k, (ms, a) in enumerate(rows)
    ]
    corners = front_line(points, lambda p: p.ms)
    assert corners == sorted(set(corners))
    assert [y for _, y in corners] == sorted(y for _, y in corners)
    for point in points:
        assert any(x <= point.ms and y >= point.accuracy for x, y in corners)
