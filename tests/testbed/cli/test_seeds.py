from __future__ import annotations

import json

import pytest

from testbed.cli import seeds
from testbed.cli.door import Exit
from testbed.store.reader import read_run
from tests.testbed.cli.conftest import call, invoke


def test_seeds_are_played_side_by_side_and_told_together(experiment, played, tmp_path):
    live, *_ = played
    out = tmp_path / "many"
    asked = ("run", experiment, "--virtual-time", "--after", live, "--seed", 5, "--json")
    many = invoke(*asked, "--seeds", 2, "--out", out)
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
