import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.campaign.energy.pairs import SPREAD, bound_rows, counts_at, even_hz, pair_rows
from testbed.campaign.energy.spec import BoardSpec, EnergyStudy, TaskSpec
from testbed.model.origin import Origin
from tests.testbed.campaign.energy.test_rungs import TASK, panel, rung

STUDY = EnergyStudy(
    schema=1, kind="energy", name="n", tasks=(TASK,), boards=(BoardSpec(name="a", profiles=("p",)),)
)
AT = TaskSpec(task="t", targets=(0.7,))


def pair(a, b, task=AT, study=STUDY):
    (row,) = pair_rows(panel(task=task, a=a, b=b), study)
    return row


def test_the_one_that_needs_more_comes_first_with_its_interval() -> None:
    row = pair((rung(),), (rung(gross_mj=30.0, net_mj=12.0, p50_ms=10.0, active_w=1.0),))
    assert (row.first, row.second, row.energy_ratio) == ("b", "a", 3.0)
    assert (row.net_ratio, row.p50_ratio, row.power_ratio) == (2.0, 2.0, 0.5)
    spread = math.exp(SPREAD * math.hypot(0.01, 0.01))
    assert (row.energy_low, row.energy_high) == pytest.approx((3.0 / spread, 3.0 * spread))
    assert row.parity == ()
    assert row.one_stack_ratio is None


def test_uncertain_accuracy_widens_the_interval_by_the_neighbouring_rungs() -> None:
    a = (rung(0.65, gross_mj=10.0), rung(0.702, gross_mj=40.0, sigma=0.005))
    row = pair(a, (rung(0.72),))
    assert row.energy_ratio == 4.0
    assert row.energy_high == pytest.approx(4.0, rel=0.03)
    assert row.energy_low == pytest.approx(4.0, rel=0.03)  # 0.7 less 1.96 * 0.005 is still over 0.65
    row = pair((rung(0.695, gross_mj=10.0), *a[1:]), (rung(0.72),))
    assert row.energy_low == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize(
    ("gross", "p50", "alike"),
    [(10.4, 5.2, ("energy", "p50")), (10.6, 4.8, ("p50",)), (9.6, 5.3, ("energy",))],
)
def test_parity_is_within_five_per_cent_either_way(gross, p50, alike) -> None:
    assert pair((rung(),), (rung(gross_mj=gross, p50_ms=p50),)).parity == alike


def test_two_assumed_have_no_ratio_and_one_weakens_it() -> None:
    guess = rung(origin=Origin.ASSUMED)
    both = pair((guess,), (guess,))
    assert (both.energy_ratio, both.energy_low, both.parity) == (None, None, ())
    assert "assumed" in both.reason
    one = pair((guess,), (rung(),))
    assert (one.energy_ratio, one.origin) == (1.0, Origin.ASSUMED)


def test_a_board_with_only_a_large_rung_is_not_matched_at_low_targets() -> None:
    large, ladder = (rung(0.76),), (rung(0.45, gross_mj=2.0), rung(0.72))
    rows = pair_rows(panel(task=TaskSpec(task="t", targets=(0.5, 0.7, 0.75)), a=large, b=ladder), STUDY)
    assert [(row.target, row.matched) for row in rows] == [(0.5, False), (0.7, False)]
    assert counts_at(large, 0.75, 0.01)
    assert counts_at(ladder, 0.7, 0.0)  # 2 points too much, but that is a choice


def test_one_stack_takes_the_choice_away() -> None:
    two = (rung(gross_mj=20.0, profiles="first"), rung(gross_mj=10.0, profiles="second"))
    row = pair(two, (rung(gross_mj=5.0),))
    assert (row.energy_ratio, row.one_stack_ratio) == (2.0, 4.0)


def test_even_rate_is_where_both_draw_the_same() -> None:
    small, large = rung(idle_w=1.0, net_mj=20.0), rung(idle_w=2.0, net_mj=5.0)
    rate = even_hz([small], [large], 0.7, 0.7)
    assert rate == pytest.approx(1000 / 15)
    assert even_hz([large], [small], 0.7, 0.7) == rate
    assert even_hz([small], [large], 0.7, 0.3) is None  # cannot keep up
    assert even_hz([small], [rung(idle_w=2.0, net_mj=25.0)], 0.7, 0.7) is None  # never
    assert (
        even_hz([small], [rung(idle_w=1.02, net_mj=5.0)], 0.7, 0.7) is None
    )  # who rests at less is not known
    assert even_hz([small], [rung(net_mj=None)], 0.7, 0.7) is None


@given(
    idle=st.tuples(st.floats(0.1, 20), st.floats(0.1, 20)),
    net=st.tuples(st.floats(0.1, 900), st.floats(0.1, 900)),
)
def test_at_the_even_rate_powers_are_equal(idle, net) -> None:
    a, b = (rung(idle_w=i, net_mj=n, busy_s=1e-6) for i, n in zip(idle, net, strict=True))
    rate = even_hz([a], [b], 0.5, 1.0)
    if rate is not None:
        assert idle[0] + rate * net[0] / 1e3 == pytest.approx(idle[1] + rate * net[1] / 1e3)


def test_only_a_whole_that_needs_less_than_a_part_says_something() -> None:
    task = msgspec.structs.replace(AT, targets=(0.7,))
    chip = panel("chip", task, mcu=(rung(gross_mj=30.0, sigma=0.03),))
    board = panel("board", task, fpga=(rung(gross_mj=10.0, sigma=0.04),))
    (row,) = bound_rows([board, chip], STUDY.max_excess)
    assert (row.first, row.second, row.at_least) == ("mcu", "fpga", 3.0)
    assert (row.first_metered, row.second_metered) == ("chip", "board")
    assert row.sigma_points == pytest.approx(5.0)
    hungry = panel("board", task, fpga=(rung(gross_mj=40.0),))
    assert bound_rows([hungry, chip], STUDY.max_excess) == []
    other = panel("board", TaskSpec(task="u", targets=(0.7,)), fpga=(rung(),))
    assert bound_rows([other, chip], STUDY.max_excess) == []
    assert bound_rows([panel("board", task, mcu=(rung(),)), panel("board", task, x=(rung(),))], 0.01) == []
