from __future__ import annotations

import json

import pytest

from drivers.virtual.meters.scpi import VirtualSupply
from drivers.virtual.meters.serving import TcpServing
from testbed.cli import bench
from testbed.cli.door import Exit
from testbed.errors import ConfigError
from tests.testbed.cli.conftest import call


def test_boards_lists_the_lab_and_the_drivers(experiment):
    done = call("boards", "--lab", experiment / "lab.toml", "--json")
    document = json.loads(done.stdout)
    assert document["boards"]["near"]["models"] == ["cnn-tiny"]
    assert document["boards"]["far"]["driver"] is True
    assert {"jetson", "gpu", "serial", "local"} <= set(document["drivers"]["boards"])
    assert "cnn-tiny" in call("boards", "--lab", experiment / "lab.toml").stdout


def test_boards_shows_a_kind_nobody_drives(tmp_path):
    lab = tmp_path / "lab.toml"
    lab.write_text('schema = 1\nname = "x"\n[boards.b]\nkind = "toaster"\nsite = "edge"\nmodels = []\n')
    assert "no such driver" in call("boards", "--lab", lab).stdout
    done = call("doctor", "--lab", lab)
    assert done.returncode == Exit.USAGE
    assert "boards.b.kind" in done.stderr


def test_boards_shows_instruments_nobody_drives(tmp_path):
    lab = tmp_path / "lab.toml"
    lab.write_text(
        'schema = 1\nname = "x"\n[boards.b]\nkind = "local"\nsite = "edge"\nmodels = []\n'
        '[meters.wall]\nkind = "abacus"\nfeeds = "b"\n[switches.plug]\nkind = "lever"\nfeeds = "b"\n'
    )
    shown = call("boards", "--lab", lab).stdout
    assert "abacus" in shown
    assert "lever" in shown
    document = json.loads(call("boards", "--lab", lab, "--json").stdout)
    assert document["boards"]["b"]["no_driver"] == ["abacus", "lever"]


def test_doctor_examines_one_board_and_finds_nothing(experiment):
    done = call("doctor", "near", "--lab", experiment / "lab.toml", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert list(document["boards"]) == ["near"]
    steps = {step["step"]: step["state"] for step in document["boards"]["near"]}
    assert steps["agent"] == steps["models"] == "ok"
    assert "failed" not in steps.values()


def test_doctor_says_what_is_wrong_and_what_to_do(tmp_path):
    lab = tmp_path / "lab.toml"
    lab.write_text(
        'schema = 1\nname = "x"\n[boards.gone]\nkind = "serial"\nsite = "edge"\nmodels = ["cnn-tiny"]\n'
        f'port = "{tmp_path}/no-such-port"\nwait_s = 0.1\n'
    )
    done = call("doctor", "--lab", lab)
    assert done.returncode == Exit.INFRASTRUCTURE
    assert "no-such-port" in done.stdout
    assert "failed" in done.stdout
    assert "→" in done.stdout


def test_doctor_examines_the_meters_beside_a_board(experiment, tmp_path):
    supply = VirtualSupply()
    supply.draw(7.5)
    lab = tmp_path / "lab.toml"
    with TcpServing(supply.answer) as serving:
        meter = f'[meters.psu]\nkind = "scpi"\nfeeds = "{{board}}"\nwhere = "{serving.where}"\n'
        switch = '[switches.plug]\nkind = "command"\nfeeds = "near"\non = ["true"]\noff = ["true"]\n'
        lab.write_text((experiment / "lab.toml").read_text() + meter.format(board="near") + switch)
        shown = call("boards", "--lab", lab, "--json")
        assert json.loads(shown.stdout)["boards"]["near"]["meters"] == {"psu": "scpi"}
        assert json.loads(shown.stdout)["boards"]["near"]["switches"] == {"plug": "command"}
        assert "psu, plug" in call("boards", "--lab", lab).stdout
        document = json.loads(call("doctor", "near", "--lab", lab, "--json").stdout)
        (step,) = [step for step in document["boards"]["near"] if step["step"] == "meter psu"]
        assert (step["state"], "input 7.5 W" in step["finding"]) == ("ok", True)
    done = call("doctor", "near", "--lab", lab)
    assert done.returncode == Exit.INFRASTRUCTURE
    assert "cannot be reached" in done.stdout


def test_the_task_is_the_shipped_one_or_that_of_a_catalogue(tmp_path):
    assert bench.task_of(None) == ("image-classification/fashion-mnist", None)
    with pytest.raises(ConfigError):
        bench.task_of(tmp_path)
