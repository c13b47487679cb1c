"""The small set, smaller: its shape with its statistical margin."""

import msgspec

from testbed.campaign.loss_sets import shipped_set
from testbed.campaign.loss_spec import read_loss_study
from testbed.campaign.loss_study import figures, loss_rows
from testbed.campaign.progress import Silent
from testbed.resources import root


def test_neighbours_conceal_better_than_grey_and_knowing_the_loss_keeps_the_accuracy() -> None:
    study = read_loss_study(root() / "experiments" / "02-lossy-edge")
    few = msgspec.structs.replace(
        study, samples=600, losses=(0.05, 0.2), fills=("grey", "linear"), frontends=("cnn-small",), splits=10
    )
    result = loss_rows(few, shipped_set(few.task, [*few.frontends, few.backend]), Silent())
    found = figures(few, result)
    # 600 images: a standard error of the drop is at most about 1.5 points.
    for pattern in few.patterns:
        assert found[f"edge_drop_pt_{pattern}_linear"] < found[f"edge_drop_pt_{pattern}_grey"]
    assert found["lossy_accuracy_drop_pt"] <= 2.0 + 1.5
    worst = {r.aware: r for r in result.thresholds if (r.loss, r.pattern, r.target) == (0.2, "bursts", 0.85)}
    assert worst[True].drop_pt < worst[False].drop_pt
    assert worst[True].offload_frac > worst[False].offload_frac
