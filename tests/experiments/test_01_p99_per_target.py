import msgspec

from testbed.campaign.grid.cells import Factors
from testbed.campaign.grid.gain import figures
from testbed.campaign.grid.study import Grid, read_grid
from testbed.resources import root


def test_at_the_operating_point_confidence_scaling_shortens_the_tail() -> None:
    folder = root() / "experiments" / "01-p99-per-target"
    study = read_grid(folder)
    few = msgspec.structs.replace(
        study,
        workload=msgspec.structs.replace(study.workload, requests=3000),
        seeds=1,
        factors=Factors(),
        policies={name: study.policies[name] for name in ("edgesight-auto", "infaas", "dc-only")},
    )
    grid = Grid(few, folder)
    rows = [grid.play(*trial) for trial in grid.plan()]
    found = figures(rows, study.operating, study.subject)
    assert found["p99_gain"] > 1.6
    assert all(row.meets for row in rows)
