from pathlib import Path

import pytest

from testbed.campaign.energy.spec import read_energy_study
from testbed.errors import ConfigError

TEXT = """
schema = 1
kind = "energy"
name = "few"
rates_hz = [1, 10]

[[tasks]]
task = "image-classification/imagenet-2012"
targets = [0.6, 0.7]

[[tasks]]
task = "image-classification/cifar10"
targets = [0.845]
samples = 200

[[boards]]
name = "Pi"
profiles = ["raspberry-pi-4-tflite", "raspberry-pi-4-armnn"]

[[boards]]
name = "Orin"
profiles = ["jetson-agx-orin-tflite"]

[[boards]]
name = "PYNQ"
profiles = ["pynq-z2"]

[[boards]]
name = "Nucleo"
profiles = ["nucleo-l4r5zi"]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "campaign.toml").write_text(text)
    return folder


def test_the_file_is_read_and_the_seed_replaced(tmp_path: Path) -> None:
    study = read_energy_study(write(tmp_path, TEXT), seed=9)
    assert [board.name for board in study.boards] == ["Pi", "Orin", "PYNQ", "Nucleo"]
    assert study.tasks[1].samples == 200
    assert (study.seed, study.cascade) == (9, None)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("[0.6, 0.7]", "[0.7, 0.6]", "targets"),
        ("[0.6, 0.7]", "[]", "targets"),
        ("[0.6, 0.7]", "[0.6, 1.7]", "targets"),
        ("[0.845]", "[0.845]\nshown = [0.8]", "shown"),
        ("samples = 200", "samples = 0", "samples"),
        ("[1, 10]", "[0]", "rates_hz"),
        ("[1, 10]", "[1]\nmax_utilisation = 1.5", "max_utilisation"),
        ("[1, 10]", "[1]\nparity_frac = 0.0", "parity_frac"),
        ("[1, 10]", "[1]\nmeter_frac = 1.0", "meter_frac"),
        ("[1, 10]", "[1]\nmax_excess = -0.1", "max_excess"),
        ('name = "Orin"', 'name = "Pi"', "boards"),
        ('["pynq-z2"]', "[]", "profiles"),
        ("imagenet-2012", "cifar10", "tasks"),
        ("rates_hz", "rate_hz", "rate_hz"),
    ],
)
def test_wrong_files_name_file_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        read_energy_study(write(tmp_path, TEXT.replace(old, new)))
    assert key in str(caught.value)
    assert "campaign.toml" in str(caught.value)


def test_a_cascade_is_of_one_of_the_tasks(tmp_path: Path) -> None:
    cascade = '[cascade]\ntask="x"\nprofiles="p"\nmodel="m"\nlike_task="t"\nlike_pairs=[["a", "b"]]\n'
    with pytest.raises(ConfigError, match="cascade.task"):
        read_energy_study(write(tmp_path, TEXT + cascade))
