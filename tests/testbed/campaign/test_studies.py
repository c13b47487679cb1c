from pathlib import Path

import pytest

from testbed.campaign.progress import Silent
from testbed.campaign.studies import RUNNERS, run_study
from testbed.cli.studies import KINDS
from testbed.errors import ConfigError
from testbed.store.study import read_study
from tests.testbed.campaign.energy.test_spec import TEXT, write


def test_the_command_line_knows_every_kind() -> None:
    assert set(KINDS) == set(RUNNERS)


def test_the_file_says_which_kind_runs(tmp_path: Path) -> None:
    out = run_study(write(tmp_path, TEXT), tmp_path / "out", seed=4, progress=Silent())
    assert (read_study(out).kind, read_study(out).seed) == ("energy", 4)


def test_an_unknown_kind_is_told_with_the_closest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="energy"):
        run_study(
            write(tmp_path, TEXT.replace('"energy"', '"energi"')), tmp_path, seed=None, progress=Silent()
        )
