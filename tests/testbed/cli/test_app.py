from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from testbed import __version__
from testbed.cli.app import app
from tests.testbed.cli.conftest import call, invoke

COMMANDS = ("run", "boards", "doctor", "profile", "report", "compare", "gap", "version")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_takes_json(command):
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "--json" in shown.output


def test_version_as_text_and_as_json():
    assert __version__ in invoke("version").stdout
    done = invoke("version", "--json")
    assert json.loads(done.stdout)["testbed"] == __version__
    assert done.stderr == ""


def test_version_starts_fast():
    # What takes time to import is not imported; a clock would measure whoever else uses this machine.
    code = (
        "import sys; from testbed.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, "version"], capture_output=True, text=True, check=True)
    slow = {
        "asyncio",
        "asyncssh",
        "drivers",
        "matplotlib",
        "msgspec",
        "numpy",
        "onnxruntime",
        "paramiko",
        "scipy",
    }
    assert not slow & set(done.stderr.split())


@pytest.mark.parametrize("args", [("nonsense",), ("version", "--nonsense"), ("compare", "one")])
def test_wrong_usage_is_2(args):
    done = call(*args)
    assert done.returncode == 2
    assert done.stdout == ""


def test_run_without_an_experiment_is_usage():
    done = call("run")
    assert done.returncode == 2
    assert "00-hello" in done.stderr


@pytest.mark.parametrize("command", ["report", "run"])
def test_a_missing_folder_is_named(command, tmp_path):
    done = call(command, tmp_path / "nothing")
    assert done.returncode in {2, 3}
    assert "nothing" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_colour_on_a_terminal_that_asks_for_none():
    done = invoke("report", "nothing", NO_COLOR="1", FORCE_COLOR="1")
    assert "\x1b[3" not in done.stderr
