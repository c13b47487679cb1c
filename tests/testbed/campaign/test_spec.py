"""Campaign files: what is wrong is named by file, key and cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.campaign.design import design
from testbed.campaign.policies import check_policies
from testbed.campaign.spec import read_campaign
from testbed.errors import ConfigError

HELLO = Path(__file__).parents[3] / "experiments" / "00-hello"


def write(folder: Path, old: str = "", new: str = "") -> Path:
    text = (HELLO / "campaign.toml").read_text()
    assert old in text
    (folder / "campaign.toml").write_text(text.replace(old, new, 1))
    return folder


def test_the_shipped_experiment_reads() -> None:
    campaign = read_campaign(HELLO)
    assert campaign.policies == ("edgesight", "edge-only", "dc-only")
    assert campaign.workload.requests >= 2000
    assert campaign.lab.is_file()


def test_lab_and_seed_can_be_overridden(tmp_path: Path) -> None:
    campaign = read_campaign(HELLO, lab=tmp_path / "other.toml", seed=7)
    assert campaign.lab == tmp_path / "other.toml"
    assert campaign.seed == 7


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("schema = 1", "schema = 9", "schema", "not known"),
        ("question =", "qestion =", "qestion", "Did you mean 'question'"),
        ("requests = 2000", "requests = 0", "workload.requests", "must be a whole number >= 1"),
        ("requests = 2000", f"requests = {10**22}", "workload.requests", "<= 1000000000"),
        ('task = "image-classification/fashion-mnist"', 'task = "fashion"', "task", "no models are shipped"),
        ("rate_hz = 90", "rate_hz = -1", "workload.arrivals.rate_hz", "a finite number > 0"),
        ("rate_hz = 90", "rate_hz = nan", "workload.arrivals.rate_hz", "finite"),
        ("rate_hz = 90", "rate_hz = inf", "workload.arrivals.rate_hz", "finite"),
        ("deadline_ms = 250", "deadline_ms = -250", "workload.deadline_ms", "> 0"),
        ("deadline_ms = 250", "deadline_ms = inf", "workload.deadline_ms", "finite"),
        ("0.78, weight = 1", "0.78, weight = nan", "workload.needs[0].weight", "finite"),
        ("0.78, weight = 1", "0.78, weight = -1", "workload.needs[0].weight", ">= 0"),
        ("0.78, weight = 1", "0.78, deadline_ms = 0", "workload.needs[0].deadline_ms", "> 0"),
        ("seed = 1", "seed = -1", "seed", "a whole number >= 0"),
        ("z = 1.645", "z = nan", "calibration.z", "finite"),
        ("idle_s = 1.0", "idle_s = -1", "measure.idle_s", ">= 0"),
        ("probes = 32", "probes = -1", "measure.probes", ">= 1"),
        ("every_s = 5.0", "every_s = 0", "measure.every_s", "> 0"),
        ("limit_s = 10.0", "limit_s = -1", "measure.limit_s", "> 0"),
        ("warmup = 10", "warmup = -1", "measure.warmup", ">= 0"),
        ('name = "00-hello"', 'name = "../00-hello"', "name", "without slashes"),
        ('name = "00-hello"', 'name = " "', "name", "names no run folder"),
        ('process = "poisson"', 'process = "fractal"', "workload.arrivals.process", "fractal"),
        ("min_accuracy = 0.78", "min_accuracy = 78", "workload.needs[0].min_accuracy", "(0, 1]"),
        (
            "min_accuracy = 0.78",
            "min_acuracy = 0.78",
            "workload.needs[0].min_acuracy",
            "Did you mean 'min_accuracy'",
        ),
        ('"edgesight", "edge-only"', '"edgesight", "edgesight"', "policies", "each once"),
        ("blocks = 1", "blocks = 0", "blocks", "at least 1"),
        ("[calibration]", "[options.proteus]\n[calibration]", "options.proteus", "not played"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, key: str, says: str) -> None:
    folder = write(tmp_path, old, new)
    with pytest.raises(ConfigError) as caught:
        read_campaign(folder)
    assert caught.value.file == str(folder / "campaign.toml")
    assert caught.value.key == key
    assert says in str(caught.value)


def test_a_negative_seed_on_the_command_line_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        read_campaign(HELLO, seed=-1)
    assert (caught.value.file, caught.value.key) == (None, "--seed")


VARIANTS = """[policies.now]
policy = "edgesight"
options = { mode = "speculative" }

[policies.later]
policy = "edgesight"

[workload]"""


def variants(folder: Path, old: str = "", new: str = "") -> Path:
    write(folder, 'policies = ["edgesight", "edge-only", "dc-only"]\n')
    file = folder / "campaign.toml"
    text = file.read_text().replace("[workload]", VARIANTS, 1)
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return folder


def test_one_policy_can_be_played_under_several_names(tmp_path: Path) -> None:
    campaign = read_campaign(variants(tmp_path))
    assert campaign.policies == ("now", "later")
    assert campaign.registered == {"now": "edgesight", "later": "edgesight"}
    assert campaign.options == {"now": {"mode": "speculative"}, "later": {}}
    check_policies(campaign)


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("[workload]", "[options.now]\nmode = 1\n[workload]", "options.now", "given twice"),
        ('policy = "edgesight"\n\n', 'polcy = "edgesight"\n\n', "policies", "polcy"),
    ],
)
def test_a_variant_that_is_wrong_is_named(tmp_path: Path, old: str, new: str, key: str, says: str) -> None:
    folder = variants(tmp_path, old, new)
    with pytest.raises(ConfigError) as caught:
        read_campaign(folder)
    assert (caught.value.key or "").startswith(key)
    assert says in str(caught.value)


def test_a_variant_of_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no policy 'edgesigt'"):
        check_policies(read_campaign(variants(tmp_path, '"edgesight"', '"edgesigt"')))


def test_trials_are_shuffled_within_blocks_and_share_a_blocks_seed(tmp_path: Path) -> None:
    trials = design(read_campaign(write(tmp_path, "blocks = 1", "blocks = 8")))
    assert [t.number for t in trials] == list(range(24))
    orders = set()
    for block in range(8):
        mine = [t for t in trials if t.block == block]
        assert {t.policy for t in mine} == {"edgesight", "edge-only", "dc-only"}
        assert len({t.seed for t in mine}) == 1
        orders.add(tuple(t.policy for t in mine))
    assert len(orders) > 1, "the order is drawn anew in every block"
    assert len({t.seed for t in trials}) == 8
    assert design(read_campaign(tmp_path)) == trials
