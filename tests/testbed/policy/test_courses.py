import msgspec
import pytest

from testbed.contracts.policy import settings_for
from testbed.contracts.toy_models import TASK
from testbed.contracts.toy_requests import stream
from testbed.errors import ConfigError
from testbed.policy.courses import Courses
from testbed.policy.thresholds import ThresholdTable, merge


def request(target=0.75, max_energy_j=None):
    asked = stream(1, 1, min_accuracy=target)[0]
    return msgspec.structs.replace(asked, max_energy_j=max_energy_j)


def test_no_thresholds_no_courses() -> None:
    with pytest.raises(ConfigError, match="calibrated"):
        Courses(msgspec.structs.replace(settings_for(), thresholds=None))


def test_a_course_is_made_once() -> None:
    courses = Courses(settings_for())
    assert courses.of(request()) is courses.of(request())


def test_out_of_reach_is_said_with_the_best_on_offer() -> None:
    course = Courses(settings_for()).of(request(0.999))
    assert not course.feasible
    assert 0.9 < course.best < 0.999


def test_an_energy_bound_leaves_what_keeps_it() -> None:
    course = Courses(settings_for()).of(request())
    joules = {t.alike.boards[0]: t.runners[0].watts * t.runners[0].service / 1e9 for t in course.teams}
    assert set(joules) == {"weak", "strong"}
    assert course.affordable(request()) == course.teams
    cheap = min(joules, key=joules.get)
    kept = course.affordable(request(max_energy_j=joules[cheap] * 1.001))
    assert [team.alike.boards[0] for team in kept] == [cheap]
    assert course.affordable(request(max_energy_j=1e-9)) == ()


def test_unknown_power_promises_no_energy() -> None:
    settings = settings_for()
    rows = {k: msgspec.structs.replace(p, active_w=None) for k, p in settings.profiles.rows.items()}
    settings = msgspec.structs.replace(settings, profiles=type(settings.profiles)(rows=rows))
    assert Courses(settings).of(request()).affordable(request(max_energy_j=1e6)) == ()


def test_loss_asks_for_the_row_of_its_bucket() -> None:
    settings = settings_for()
    lossy = ThresholdTable(
        rows=tuple(msgspec.structs.replace(r, lost_frac=0.1, tau=0.99) for r in settings.thresholds.rows)
    )
    courses = Courses(msgspec.structs.replace(settings, thresholds=merge(settings.thresholds, lossy)))
    asked = request(0.93)
    assert courses.row(asked, "small", None) == courses.row(asked, "small", 0.0)
    assert courses.row(asked, "small", 0.0).lost_frac == 0.0
    assert courses.row(asked, "small", 0.05).tau == 0.99
    assert courses.row(asked, "small", 0.2) is None
    assert courses.row(request(None), "small", 0.2).tau == 0.0  # nothing promised, so nothing to break


def test_everything_of_the_table_is_hosted_where_it_belongs() -> None:
    hosted = {(h.board, h.model) for h in Courses(settings_for()).hosted()}
    assert hosted == {("weak", "tiny"), ("strong", "small"), ("far", "large")}
    assert all(r.task == TASK for r in settings_for().thresholds.rows)
