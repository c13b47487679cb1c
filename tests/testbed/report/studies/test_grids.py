import msgspec
import pytest

from testbed.report.studies.figures import draw_study
from testbed.report.studies.grids import grid_tables
from tests.testbed.store.test_study import STUDY


def trial(policy, p99, *, ours=False, seed=1, load=1.0):
    target = {"target": 0.9, "requests": 100, "right": 91, "reached": True, "p99_ms": p99}
    return {
        "what": "trial",
        "cell": {"rtt_ms": 40.0, "load": load, "levels": 1},
        "policy": policy,
        "ours": ours,
        "seed": seed,
        "p50_ms": 4.0,
        "p99_ms": p99,
        "accuracy": 0.91,
        "meets": True,
        "offload_frac": 0.03,
        "dc_busy_frac": 0.1,
        "missed_frac": 0.0,
        "loads": 0,
        "cancelled": {"before_start": 2, "too_late": 1} if ours else {"before_start": 0, "too_late": 0},
        "targets": [target],
    }


def gain(value, load, best="infaas"):
    return {
        "what": "gain",
        "subject": "ours",
        "cell": {"rtt_ms": 40.0, "load": load, "levels": 1},
        "seed": 1,
        "gain": value,
        "best": best,
        "missed_frac": 0.02,
    }


@pytest.fixture
def study():
    rows = [
        trial("ours", 75.0, ours=True),
        trial("ours", 85.0, ours=True, seed=2),
        trial("infaas", None),
        trial("infaas", 200.0, seed=2),
        trial("infaas", 1.0, load=0.3),
        gain(2.5, 1.0),
        gain(0.8, 0.3),
        gain(None, 2.0, "no baseline meets the targets"),
    ]
    spec = {
        "operating": {"rtt_ms": 40.0, "load": 1.0, "levels": 1},
        "subject": "ours",
        "workload": {"requests": 100},
        "other_seeds": 1,
    }
    return msgspec.structs.replace(STUDY, kind="grid", rows=rows, spec=spec)


def test_the_operating_point_shows_medians_over_seeds(study) -> None:
    point, targets, _ = grid_tables(study)
    ours, infaas = point.body
    assert ours[:4] == ("ours", "ours", "4.00 [4.00, 4.00]", "80.0 [75.0, 85.0]")
    assert ours[-1] == "2 / 1"
    assert infaas[3] == "never"
    assert targets.body[0] == ("ours", "90.0 %", "91.0 %", "2 of 2", "80.0 [75.0, 85.0]")


def test_the_surface_marks_where_there_is_no_gain(study) -> None:
    surface = grid_tables(study)[2]
    assert [row[3] for row in surface.body] == ["0.800", "2.50", "-"]
    assert [row[6] for row in surface.body] == ["below 1", "", ""]
    assert {row[5] for row in surface.body} == {"2.0 %"}
    assert surface.body[2][4] == "no baseline meets the targets"


def test_without_a_pair_nothing_is_said_of_crossovers(study) -> None:
    assert len(grid_tables(study)) == 3


def test_the_gain_is_drawn_over_the_load(study) -> None:
    (svg,) = draw_study(study).values()
    assert "40 ms round trip" in svg
