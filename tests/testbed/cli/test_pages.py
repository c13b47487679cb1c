from __future__ import annotations

import json

import pytest

from testbed.cli import pages
from testbed.cli.door import Exit
from tests.testbed.cli.conftest import call


def test_a_report_can_be_made_again_without_the_lab(played):
    folder, out, *_ = played
    (folder / pages.REPORT_FILE).unlink()
    done = call("report", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["policies"] == json.loads(out)["policies"]
    assert (folder / pages.REPORT_FILE).is_file()
    shown = call("report", folder)
    assert "edge-only" in shown.stdout


def test_a_folder_of_several_runs_names_them(tmp_path):
    for number in range(7, 14):
        (tmp_path / f"hello-{number:02}").mkdir()
        (tmp_path / f"hello-{number:02}" / "header.json").write_text("{}")
    done = call("report", tmp_path)
    assert done.returncode == Exit.USAGE
    assert "hello-07, hello-08, hello-09, hello-10, hello-11, ..." in done.stderr
    assert f"{tmp_path / 'hello-07'}" in done.stderr.replace("\n", "")


@pytest.mark.parametrize("command", [("report",), ("compare", "."), ("run", "--resume")])
def test_a_folder_without_a_run_is_wrong_usage(command, tmp_path):
    done = call(*command, tmp_path, "--json")
    assert done.returncode == Exit.USAGE
    assert json.loads(done.stdout)["error"]["kind"] == "ConfigError"
