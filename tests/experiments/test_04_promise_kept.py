import msgspec

from testbed.campaign.data import TaskData
from testbed.campaign.progress import Silent
from testbed.campaign.splits import Shift, figures, read_split_study, split_rows
from testbed.resources import root


def test_fewer_splits_keep_the_promise_with_margin_and_break_it_without() -> None:
    study = read_split_study(root() / "experiments" / "04-promise-kept")
    few = msgspec.structs.replace(study, splits=25, frontends=("cnn-tiny",), shift=Shift())
    found = figures(few, split_rows(few, TaskData(study.task), Silent()))
    assert found["miss_frac"] <= 0.05
    assert found["miss_frac_z0"] > found["miss_frac"]
