from pathlib import Path

import pytest

from testbed.campaign.loss.spec import read_loss_study
from testbed.errors import ConfigError
from testbed.resources import root

TEXT = """
schema = 1
kind = "loss"
name = "few"
task = "image-classification/fashion-mnist"
samples = 120
frontends = ["cnn-tiny"]
backend = "resnet8"
targets = [0.75]
losses = [0.05, 0.2]
buckets = [0.13, 0.5]
splits = 4
[packets]
units = 1
limit_bytes = 96
order_bytes = 0
"""


def read(folder: Path, text: str):
    (folder / "campaign.toml").write_text(text)
    return read_loss_study(folder)


def test_the_seed_of_the_command_line_counts(tmp_path) -> None:
    assert read(tmp_path, TEXT).seed == 1
    assert read_loss_study(tmp_path, seed=7).seed == 7


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("targets = [0.75]", "targets = []", "targets"),
        ("losses = [0.05, 0.2]", "losses = [0.2]", "loss"),
        ("losses = [0.05, 0.2]", "losses = [5]", "losses"),
        ("buckets = [0.13, 0.5]", "buckets = [0.0]", "buckets"),
        ("splits = 4", "splits = 0", "splits"),
        ("splits = 4", "limits = [2]", "limits"),
        ("splits = 4", "keeps = [-1]", "keeps"),
        ("splits = 4", "goal_pt = 100", "goal_pt"),
        ("splits = 4", "burst_packets = 0.5", "burst_packets"),
        ("splits = 4", 'fills = ["grey"]', "fill"),
        ("splits = 4", 'patterns = ["burst"]', "patterns"),
        ("splits = 4", 'folder = "elsewhere"', "task"),
        ("units = 1", "units = -1", "packets.units"),
        ("units = 1", "unit = 1", "unit"),
        ("order_bytes = 0", "order_bytes = 0\n[live]\nrequests = 0", "live.requests"),
        ("order_bytes = 0", "order_bytes = 0\n[live]\nlosses = [0.1]", "live.losses"),
    ],
)
def test_a_wrong_file_names_the_key(tmp_path, old, new, key) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, TEXT.replace(old, new))
    assert key in str(caught.value)
    assert "campaign.toml" in str(caught.value)


@pytest.mark.parametrize("name", ["02-lossy-edge", "02-lossy-edge/photographs"])
def test_the_experiments_files_are_read(name) -> None:
    study = read_loss_study(root() / "experiments" / name)
    assert study.loss == 0.05
    assert set(study.patterns) == {"iid", "bursts"}
