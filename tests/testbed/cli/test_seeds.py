from __future__ import annotations

import json
import shutil

import pytest

from testbed.cli import seeds
from testbed.cli.door import Exit
from testbed.store.reader import read_run
from tests.testbed.cli.conftest import call, invoke


@pytest.fixture(scope="module")
def many(experiment, played, tmp_path_factory):
    """Two seeds in virtual time: the folder, and the command with what it said."""
    out = tmp_path_factory.mktemp("seeds") / "many"
    asked = ("run", experiment, "--virtual-time", "--after", played[0], "--seed", 5, "--json")
    return out, asked, invoke(*asked, "--seeds", 2, "--out", out)


def test_seeds_are_played_side_by_side_and_told_together(many, tmp_path):
    out, asked, many = many
    assert many.returncode in (Exit.PASS, Exit.MISSED), many.stderr
    document = json.loads(many.stdout)
    assert [one["seed"] for one in document["seeds"]] == [5, 6]
    assert set(document["combined"]) == {"edge-only", "dc-only"}
    assert document["combined"]["dc-only"]["offload_frac"] == {"median": 1.0, "range": [1.0, 1.0], "n": 2}
    assert (out / "seed-6" / "report.html").is_file()
    alone = call(*asked, "--out", tmp_path / "alone")
    assert json.loads(alone.stdout)["policies"] == document["seeds"][0]["policies"]
    for one, other in zip(read_run(out / "seed-5").trials, read_run(tmp_path / "alone").trials, strict=True):
        assert one.records == other.records


def test_what_they_said_together_is_reported_again(many, tmp_path):
    folder, _, said = many
    (folder / "seed-5" / "report.html").unlink()
    again = invoke("report", folder, "--json")
    assert (again.returncode, json.loads(again.stdout)) == (said.returncode, json.loads(said.stdout))
    assert (folder / "seed-5" / "report.html").is_file()
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "seed-6" / "footer.json").unlink()
    for journal in (broken / "seed-6" / "trials").glob("*dc-only*/*.jsonl"):
        journal.write_bytes(journal.read_bytes()[:-200])
    partly = invoke("report", broken)
    assert partly.returncode == Exit.INFRASTRUCTURE, partly.stderr
    assert "Over 1 seeds (5 to 5)" in partly.stdout
    assert f"seed 6 is incomplete and left out: {broken / 'seed-6'}" in partly.stderr


def test_only_a_folder_of_seeds_is_taken_for_one(tmp_path):
    for name in ("seed-10", "seed-9", "seed-x", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "header.json").touch()
    (tmp_path / "seed-1").mkdir()
    assert [kept.seed for kept in seeds.seeds_in(tmp_path)] == [9, 10]
    (tmp_path / "header.json").touch()
    assert seeds.seeds_in(tmp_path) == []


def test_seeds_are_not_played_into_the_folder_of_a_run(experiment, played):
    done = call("run", experiment, "--virtual-time", "--after", played[0], "--seeds", 2, "--out", played[0])
    assert done.returncode == Exit.INFRASTRUCTURE
    assert "is the folder of a single run" in done.stderr.replace("\n", " ")
    assert not list(played[0].glob("seed-*"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "--seeds: several seeds are for virtual time"),
        (("--gap",), "--seeds: several seeds are for virtual time"),
        (("--virtual-time", "--seeds", 0), "--seeds: must be 1 to 1000, not 0"),
    ],
)
def test_seeds_that_cannot_be_played(experiment, more, says):
    done = call("run", experiment, "--seeds", 2, *more)
    assert done.returncode == Exit.USAGE
    assert says in done.stderr.replace("\n", " ")


def test_trouble_with_one_seed_ends_all(experiment, tmp_path):
    (tmp_path / "taken" / "seed-1").mkdir(parents=True)
    (tmp_path / "taken" / "seed-1" / "something").write_text("")
    with pytest.raises(seeds.TestbedError, match="seed 1: .*header.json"):
        seeds.run_seeds(
            seeds_terminal(),
            folder=experiment,
            lab=None,
            after=tmp_path / "nothing",
            out=tmp_path / "taken",
            seed=1,
            seeds=1,
        )


def seeds_terminal():
    from testbed.cli.terminal import Terminal

    return Terminal(json=True)


def test_a_process_that_is_to_end_does_so_at_its_next_thousand(monkeypatch):
    import multiprocessing

    stop, done = multiprocessing.Event(), multiprocessing.Value("q", 0)
    monkeypatch.setattr(seeds, "_stop", stop)
    monkeypatch.setattr(seeds, "_done", done)
    count = seeds._Count()
    count.advance(1000)
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        count.advance(7)
    assert done.value == 1007
