from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.cli import leases
from testbed.cli.door import Exit
from testbed.coordinator.labfile import read_lab
from testbed.coordinator.lease_store import LeaseStore
from testbed.errors import ConfigError
from testbed.model.lease import Holder
from testbed.units import S
from tests.testbed.cli.conftest import call

BOB = Holder(user="bob", host="lab9", pid=22)
LAB = """
schema = 1
name = "shared"
state = "state"
[boards.orin]
kind = "jetson"
site = "edge"
models = ["cnn-tiny"]
host = "orin.lab"
[boards.mcu]
kind = "serial"
site = "edge"
models = []
port = "usb-FTDI-if00"
[boards.here]
kind = "local"
site = "dc"
models = []
"""
ORIN, MCU = "ssh://orin.lab:22", "serial:///dev/serial/by-id/usb-FTDI-if00"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    file = tmp_path / "lab.toml"
    file.write_text(LAB)
    return file


@pytest.fixture
def store(tmp_path: Path) -> LeaseStore:
    return LeaseStore(tmp_path / "state")


def rows(lab: Path) -> dict[str, dict[str, object]]:
    done = call("boards", "--lab", lab, "--json")
    assert done.returncode == 0, done.stderr
    return {name: row["lease"] for name, row in json.loads(done.stdout)["boards"].items()}


def test_boards_shows_who_holds_what_without_making_anything(lab: Path, store: LeaseStore) -> None:
    shown = rows(lab)
    assert {name: row["state"] for name, row in shown.items()} == {
        "orin": "free",
        "mcu": "free",
        "here": "own",
    }
    assert (shown["orin"]["resource"], shown["mcu"]["resource"]) == (ORIN, MCU)
    assert not store.folder.exists()
    store.acquire({ORIN: "orin"}, BOB, "run x", 3600 * S)
    store.reserve({MCU: "mcu"}, BOB, "soldering", 3600 * S)
    shown = rows(lab)
    assert shown["orin"]["state"] == "held"
    assert shown["mcu"]["state"] == "reserved"
    held = shown["orin"]["held"]
    assert isinstance(held, dict)
    assert (held["user"], held["pid"], held["purpose"]) == ("bob", 22, "run x")
    assert 3500 < held["left_s"] <= 3600
    text = call("boards", "--lab", lab).stdout
    assert "bob@lab9 process 22" in text
    assert "soldering" in text


def test_what_expired_last_is_shown(lab: Path, store: LeaseStore) -> None:
    store.acquire({ORIN: "orin"}, BOB, "run x", 1)
    told = leases.lease_rows(read_lab(lab))["orin"]
    assert told["state"] == "free"
    assert "the lease of bob@lab9 process 22 (run x)" in told["told"]
    assert "expired at" in told["told"]


def test_a_board_that_was_withdrawn_is_shown_to_the_next_one(lab: Path, store: LeaseStore) -> None:
    token = store.acquire({ORIN: "orin"}, BOB, "run x", 3600 * S)[ORIN].token
    store.stand(ORIN, token, "quarantined: silent")
    shown = rows(lab)["orin"]
    assert shown["held"]["standing"] == "quarantined: silent"  # type: ignore[index]
    store.stand(ORIN, token, "withdrawn: 3 power cycles")
    store.release({ORIN: token})
    told = leases.lease_rows(read_lab(lab))["orin"]["told"]
    assert told.startswith("free; the lease of bob@lab9")
    assert told.endswith(", the board then withdrawn: 3 power cycles")


def test_a_board_whose_driver_cannot_be_built_is_listed_all_the_same(lab: Path) -> None:
    lab.write_text(LAB.replace('host = "orin.lab"', "colour = 3"))
    assert leases.lease_rows(read_lab(lab))["orin"]["state"] == "unknown"


def test_acquire_and_release(lab: Path, store: LeaseStore) -> None:
    done = call("acquire", f"{lab}/orin", f"{lab}/mcu", "--for", "30m", "--purpose", "fan test", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reserved"] == ["shared/orin", "shared/mcu"]
    boards, now = store.read()
    assert {name: board.reserved.purpose for name, board in boards.items() if board.reserved} == {
        ORIN: "fan test",
        MCU: "fan test",
    }
    assert boards[ORIN].reserved.until - now.boot > 29 * 60 * S  # type: ignore[union-attr]
    assert call("release", lab, cwd=lab.parent).returncode == 0
    assert all(board.reserved is None for board in store.read()[0].values())


def test_release_names_the_run_that_still_has_the_board(lab: Path, store: LeaseStore) -> None:
    store.acquire({ORIN: "orin"}, BOB, "run x", 3600 * S)
    done = call("release", f"{lab}/orin")
    assert done.returncode == 0, done.stderr
    assert "but shared/orin is still held by bob@lab9 process 22 (run x)" in done.stdout
    assert store.read()[0][ORIN].held is not None
    document = json.loads(call("release", f"{lab}/orin", "--json").stdout)
    assert list(document["held"]) == ["shared/orin"]
    assert json.loads(call("release", lab, "--force", "--json").stdout)["held"] == {}


def test_what_somebody_else_has_is_refused_with_his_name_all_or_none(lab: Path, store: LeaseStore) -> None:
    store.reserve({MCU: "mcu"}, BOB, "soldering", 3600 * S)
    done = call("acquire", lab)
    assert done.returncode == Exit.INFRASTRUCTURE
    assert "shared/mcu is reserved by bob@lab9 (soldering)" in done.stderr
    assert ORIN not in store.read()[0]
    done = call("release", f"{lab}/mcu")
    assert done.returncode == Exit.INFRASTRUCTURE
    assert "--force" in done.stderr
    assert call("release", f"{lab}/mcu", "--force").returncode == 0
    assert call("acquire", lab).returncode == 0


def test_waiting_ends_when_the_board_is_free(lab: Path, store: LeaseStore) -> None:
    held = store.acquire({ORIN: "orin"}, BOB, "run x", 3600 * S)
    waiting = subprocess.Popen(
        [sys.executable, "-m", "testbed", "acquire", f"{lab}/orin", "--wait", "60"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert waiting.stderr is not None
    assert "waiting: shared/orin is held by bob" in waiting.stderr.readline()
    assert store.read()[0][ORIN].reserved is None
    store.release({ORIN: held[ORIN].token})
    assert waiting.communicate(timeout=60)[1] == ""
    assert waiting.returncode == 0
    assert store.read()[0][ORIN].reserved is not None


def test_doctor_keeps_off_a_board_that_is_in_use(lab: Path, store: LeaseStore) -> None:
    store.acquire({ORIN: "orin"}, BOB, "run x", 3600 * S)
    done = call("doctor", "orin", "--lab", lab)
    assert done.returncode == Exit.INFRASTRUCTURE
    assert "orin is held by bob" in done.stderr
    done = call("doctor", "orin", "--lab", lab, "--wait", "0.2")
    assert done.returncode == Exit.INFRASTRUCTURE
    assert "waiting: orin is held by bob" in done.stderr


def test_what_is_not_there_or_not_shared_is_said(lab: Path) -> None:
    assert "Did you mean 'orin'" in call("acquire", f"{lab}/orim").stderr
    assert 'lease = "NAME"' in call("acquire", f"{lab}/here").stderr
    assert "nothing to lease" in call("acquire", "virtual").stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("2d", 172_800), ("5m", 300), ("30d", 2_592_000)]
)
def test_durations(text: str, seconds: int) -> None:
    assert leases.length_of(text) == seconds * S


@pytest.mark.parametrize("text", ["", "5", "0s", "-1h", "1w", "h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--for"):
        leases.length_of(text)


@pytest.mark.parametrize("text", ["99999d", "30.01d", "721h", "9" * 400 + "s"])
def test_nobody_reserves_a_board_for_years(lab: Path, store: LeaseStore, text: str) -> None:
    done = call("acquire", f"{lab}/orin", "--for", text)
    assert done.returncode == Exit.USAGE
    assert "Give up to 30d" in done.stderr
    assert not store.folder.exists()
