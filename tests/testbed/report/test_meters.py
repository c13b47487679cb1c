"""Several meters on a board: one stands for it, and those that cover the same must agree."""

from __future__ import annotations

import msgspec
import pytest

from testbed.measure.clocksync import COORDINATOR
from testbed.model.meter import MeterTraits, RailTraits
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from testbed.store.schema import LOAD
from testbed.units import MS, S
from tests.testbed.store.synthetic import ACTIVE_W, IDLE_W, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=200, policies=("edgesight",)))


def with_second_meter(run, factor, kind, first_kind="rail", **known):
    """The same run with a bench meter beside the board that shows ``factor`` times its power."""
    trial = run.trials[0]
    load = trial.window(LOAD)
    stamps = tuple(range(load.start - 4 * S, load.end + 4 * S, 50 * MS))
    watts = tuple(factor * (ACTIVE_W if load.start <= t < load.end else IDLE_W) for t in stamps)
    block = msgspec.structs.replace(
        trial.power[0], boot=COORDINATOR, meter="bench", rails=("in",), total=("in",), t=stamps, power_w=watts
    )
    traits = {
        "ina3221": MeterTraits(quantity="instant", metered=first_kind, gain_frac=0.01),
        "bench": MeterTraits(quantity="instant", metered=kind, gain_frac=0.001, **known),
    }
    boards = tuple(
        msgspec.structs.replace(facts, meters=traits if facts.id == "jetson" else {})
        for facts in trial.boards
    )
    trial = msgspec.structs.replace(trial, power=(*trial.power, block), boards=boards)
    return analyse(msgspec.structs.replace(run, trials=(trial,)))


def test_the_meter_that_covers_most_stands_for_the_board(run):
    made = with_second_meter(run, 1.2, "board")
    assert [(row.meter, row.used) for row in made.meters] == [("bench", True), ("ina3221", False)]
    assert made.policies[0].energy.scope.startswith("jetson in")
    narrower = with_second_meter(run, 0.5, "chip")
    assert [row.meter for row in narrower.meters if row.used] == ["ina3221"]


def test_meters_of_the_same_that_agree_are_left_in_peace(run):
    made = with_second_meter(run, 1.005, "rail")
    (row,) = made.crosschecks
    assert row.agree
    assert row.compared == "gross", "where they disagree most, though not beyond their sigmas"
    assert not any("disagree" in note for note in made.notes)


def test_a_disagreement_beyond_their_sigmas_is_a_note(run):
    made = with_second_meter(run, 1.2, "rail")
    (row,) = made.crosschecks
    assert not row.agree
    assert abs(row.difference_j) > 2 * row.sigma_j
    (note,) = [note for note in made.notes if "disagree" in note]
    assert "bench (rail)" in note
    assert "ina3221 (rail)" in note


@pytest.mark.parametrize(("factor", "agree"), [(1.3, True), (0.7, False)])
def test_what_covers_less_must_not_show_more(run, factor, agree):
    (row,) = with_second_meter(run, factor, "wall").crosschecks
    assert (row.metered, row.compared, row.agree) == (("wall", "rail"), "gross", agree)


def test_meters_of_which_nobody_said_what_they_cover_are_not_compared(run):
    assert with_second_meter(run, 5.0, None).crosschecks == ()


def test_a_meter_without_a_figure_says_why_and_does_not_stand_for_the_board(run):
    made = with_second_meter(run, 1.0, "wall", rails={"": RailTraits(full_scale_w=0.1)})
    by_name = {row.meter: row for row in made.meters}
    assert not by_name["bench"].used
    assert "end of its range" in by_name["bench"].reason
    assert by_name["ina3221"].used
