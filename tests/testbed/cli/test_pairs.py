from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.cli.door import Exit
from tests.testbed.cli.conftest import call, invoke


@pytest.fixture(scope="module")
def place(experiment, tmp_path_factory):
    """A working directory in which ``run --gap`` was called once: no run was there before."""
    folder = tmp_path_factory.mktemp("place")
    done = invoke("run", experiment, "--gap", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done.stderr


def test_a_fresh_machine_scouts_first_then_plays_live_then_models(place) -> None:
    folder, document, err = place
    assert "a short one first" in err
    scouts = list((folder / "runs").glob("small-scout-*"))
    assert len(scouts) == 1
    assert len({scouts[0].name, Path(document["run"]).name, Path(document["virtual"]["run"]).name}) == 3
    assert set(document["policies"]) == set(document["virtual"]["policies"]) == {"edge-only", "dc-only"}
    gap = document["gap"]
    assert gap["profiles_from"]["run"] == scouts[0].name
    assert gap["profiles_from"]["is_live"] is False
    assert {b["relation"] for b in gap["boards"]} == {"earlier run"}
    for policy in gap["policies"].values():
        assert policy["pairs"] == 120
        split = policy["split_ms"]
        assert split["residual_ms"] == 0
        assert sum(t["difference"] for t in split["terms"].values()) == pytest.approx(
            split["response"]["difference"], abs=1e-9
        )
    assert (folder / gap["virtual"] / "gap.html").is_file()


def test_virtual_time_takes_the_latest_live_run_and_says_which(place, experiment) -> None:
    folder, document, _ = place
    live = Path(document["run"])
    done = call("run", experiment, "--virtual-time", "--out", "runs/again", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"as seen by {live}, the latest live run" in done.stderr
    shown = call("gap", live, "runs/again", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert "circular for the host too" in shown.stdout


def test_virtual_time_without_any_live_run_says_how_to_get_one(experiment, tmp_path) -> None:
    done = call("run", experiment, "--virtual-time", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "no live run of this lab on this host in runs" in done.stderr
    assert "--after" in done.stderr


@pytest.mark.parametrize("other", [("--virtual-time",), ("--resume", "somewhere")])
def test_gap_leaves_no_room_for_some_options(experiment, other, tmp_path) -> None:
    done = call("run", experiment, "--gap", *other, cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert other[0] in done.stderr


def test_pooling_has_a_verdict_and_an_exit_code(place) -> None:
    folder, document, _ = place
    live = document["run"]
    done = call("compare", live, document["virtual"]["run"], "--pool", "--json", cwd=folder)
    assert done.returncode == Exit.MISSED
    verdict = json.loads(done.stdout)["pooling"]
    assert verdict["may"] is False
    assert "time differs" in verdict["verdict"]
    shown = call("compare", live, live, cwd=folder)
    assert shown.returncode == 0
    assert "must not be pooled, because they are the same run" in shown.stdout


def test_two_live_runs_are_no_gap(place) -> None:
    folder, document, _ = place
    done = call("gap", document["run"], document["run"], cwd=folder)
    assert done.returncode == Exit.INFRASTRUCTURE
    assert "is a live run" in done.stderr
