import msgspec

from testbed.campaign.grid.cells import Factors
from testbed.campaign.grid.gain import figures
from testbed.campaign.grid.study import Grid, read_grid
from testbed.resources import root


def test_at_the_operating_point_confidence_scaling_shortens_the_tail_and_hides_nothing() -> None:
    """Four draws: their median lies above 1.3 whichever of the twenty of the full run they were (least 1.30)."""
    folder = root() / "experiments" / "01-p99-per-target"
    study = read_grid(folder)
    few = msgspec.structs.replace(
        study,
        workload=msgspec.structs.replace(study.workload, requests=3000),
        seeds=4,
        factors=Factors(),
        policies={name: study.policies[name] for name in ("edgesight-auto", "infaas", "edge-only")},
    )
    grid = Grid(few, folder)
    rows = [grid.play(*trial) for trial in grid.plan()]
    found = figures(rows, study.operating, study.subject)
    assert found["p99_gain_least"] > 1.0
    assert found["p99_gain"] > 1.3
    assert found["p99_gain_seeds"] == 4
    for name in ("edgesight-auto", "infaas"):
        assert found[f"keeps_accuracy_{name}"] == 1.0
        assert found[f"unanswered_frac_{name}"] == found[f"missed_frac_{name}"] == 0.0
    assert found["keeps_accuracy_edge-only"] == 0.0
