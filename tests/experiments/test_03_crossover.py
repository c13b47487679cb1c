"""A few cells of the grid with fewer requests: their shape with its statistical margin."""

import msgspec
import pytest

from testbed.campaign.grid.cells import Factors
from testbed.campaign.grid.crossover import crossovers
from testbed.campaign.grid.study import Grid, read_grid
from testbed.resources import root

FOLDER = root() / "experiments" / "03-crossover"
CELLULAR = "traces/assumed-cellular.csv"


@pytest.fixture(scope="module")
def played():
    study = read_grid(FOLDER)
    few = msgspec.structs.replace(
        study,
        workload=msgspec.structs.replace(study.workload, requests=4000),
        seeds=1,
        other_seeds=1,
        factors=Factors(rtt_ms=(5, 40, 100), uplink=(10, CELLULAR)),
        policies={
            name: study.policies[name] for name in ("edgesight-serial", "edgesight-speculative", "dc-only")
        },
    )
    grid = Grid(few, FOLDER)
    return study, {
        (cell.rtt_ms, cell.uplink, name): grid.play(cell, s, name) for cell, s, name in grid.plan()
    }


def test_the_median_gains_from_speculation_only_up_to_some_round_trip(played) -> None:
    study, rows = played
    near, far = (
        [rows[rtt, 10, f"edgesight-{mode}"] for mode in ("serial", "speculative")] for rtt in (5, 100)
    )
    assert near[1].p50_ci[1] < near[0].p50_ci[0]  # apart by more than both 95 % intervals
    assert far[1].p50_ci[0] < far[0].p50_ci[1]  # not apart
    assert far[0].p50_ci[0] < far[1].p50_ci[1]
    lines = crossovers([row for (_, uplink, _), row in rows.items() if uplink == 10], study.crossover)
    (p50,) = [line for line in lines if line.quantile == "p50"]
    assert p50.better == "below"
    assert 5 < p50.rtt_ms < 100


@pytest.mark.parametrize("rtt_ms", [5, 40, 100])
def test_the_tail_gains_at_every_round_trip_over_a_steady_uplink(played, rtt_ms) -> None:
    serial, both = (played[1][rtt_ms, 10, f"edgesight-{mode}"] for mode in ("serial", "speculative"))
    assert both.p99_ms < serial.p99_ci[0]


@pytest.mark.parametrize("uplink", [10, CELLULAR])
def test_serial_sends_a_fraction_and_the_data_centre_alone_everything(played, uplink) -> None:
    serial, both, alone = (
        played[1][40, uplink, name].uplink_bytes
        for name in ("edgesight-serial", "edgesight-speculative", "dc-only")
    )
    assert serial < 0.2 * both
    assert both < 0.6 * alone
    assert alone == 24_000


def test_a_changing_uplink_undoes_the_data_centre_alone_and_spares_confidence_scaling(played) -> None:
    steady, changing = (played[1][40, uplink, "dc-only"] for uplink in (10, CELLULAR))
    assert changing.p99_ms > 5 * steady.p99_ci[1]
    for mode in ("serial", "speculative"):
        assert played[1][40, CELLULAR, f"edgesight-{mode}"].p99_ms < changing.p99_ms / 5
