from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from testbed.cli import pages
from testbed.cli.door import Exit
from testbed.errors import BoardError
from testbed.store.reader import read_run
from tests.testbed.cli.conftest import call


def test_a_run_prints_one_document_and_leaves_its_pages(played):
    folder, out, err, code = played
    document = json.loads(out)
    assert code == 0, err
    assert document["schema"] == 1
    assert Path(document["run"]).name == "one"
    assert set(document["policies"]) == {"edge-only", "dc-only"}
    for policy in document["policies"].values():
        assert policy["requests"] == sum(policy["outcomes"].values()) == 120
        assert set(policy["p99_ms"]) >= {"value", "ci", "reason"}
        assert set(policy["energy_mj_per_request"]) >= {"value", "sigma", "origin", "scope", "reason"}
        (target,) = policy["targets"]
        assert target["target"] == 0.5
        assert target["accuracy_ci"][0] <= target["accuracy"] <= target["accuracy_ci"][1]
    assert document["policies"]["dc-only"]["targets"][0]["offload_frac"] == 1.0
    assert (folder / pages.REPORT_FILE).stat().st_size > 1000
    assert (folder / pages.JUNIT_FILE).is_file()


def test_a_run_compared_with_itself(played):
    folder, *_ = played
    done = call("compare", folder, folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_out_and_resume_exclude_each_other(played, tmp_path):
    folder, *_ = played
    done = call("run", "--resume", folder, "--out", tmp_path)
    assert done.returncode == Exit.USAGE


def test_an_unknown_key_is_named_with_the_likely_one(experiment, tmp_path):
    for name in ("lab.toml", "campaign.toml"):
        (tmp_path / name).write_text((experiment / name).read_text())
    campaign = tmp_path / "campaign.toml"
    campaign.write_text(campaign.read_text().replace("policies =", "policys ="))
    done = call("run", tmp_path, "--out", tmp_path / "run")
    assert done.returncode == Exit.USAGE
    assert "campaign.toml: policys: unknown key. Did you mean 'policies'?" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_polite_kill_is_an_interrupt(experiment, tmp_path):
    # SIGINT, SIGKILL and how to go on are in tests/flow/test_interrupted.py.
    slow = tmp_path / "slow"
    slow.mkdir()
    text = (experiment / "campaign.toml").read_text().replace("rate_hz = 200", "rate_hz = 40")
    (slow / "campaign.toml").write_text(text.replace('"lab.toml"', f'"{experiment}/lab.toml"'))
    folder = tmp_path / "stopped"
    run = [sys.executable, "-c", "from testbed.cli import main; main()", "run", str(slow)]
    process = subprocess.Popen([*run, "--out", str(folder)], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    deadline = time.monotonic() + 30
    while not any('"type":"request"' in f.read_text() for f in folder.glob("trials/*/attempt-1.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED
    assert f"--resume {folder}" in err
    assert "Traceback" not in err
    stopped = read_run(folder)
    assert stopped.footer.status == "interrupted"
    assert stopped.pending
    assert call("report", folder).returncode == Exit.INFRASTRUCTURE


def test_a_run_that_a_board_ends_says_how_to_go_on(experiment, tmp_path, monkeypatch):
    async def lost(*_: object) -> None:
        raise BoardError("was withdrawn", board="near")

    monkeypatch.setattr("testbed.campaign.run.play_trial", lost)
    done = call("run", experiment, "--out", tmp_path / "run")
    assert done.returncode == Exit.INFRASTRUCTURE
    assert f"testbed run --resume {tmp_path / 'run'}\n" in done.stderr
    assert read_run(tmp_path / "run").footer.status == "failed"
