"""What forbids two runs to be pooled."""

from __future__ import annotations

import msgspec
import pytest

from testbed.report.pooling import MAY, measured_at_start, pooling
from testbed.store.reader import read_run
from testbed.store.schema import Source
from tests.testbed.report.gap.runs import LAB, with_header
from tests.testbed.store.synthetic import write_run

PROFILES = {"jetson/cnn-tiny": "d" * 64, "host/resnet8": "e" * 64}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    run = read_run(write_run(tmp_path_factory.mktemp("runs") / "a", count=40))
    return with_header(run, lab_text=LAB, profiles=PROFILES)


@pytest.fixture(scope="module")
def second(first):
    return with_header(first, run="synthetic-2")


def test_a_replicate_may_be_pooled_whatever_its_seed_boot_and_commit(first, second) -> None:
    assert pooling(first, second).verdict == MAY
    host = first.header.host | {"boot_id": "another"}
    other = with_header(
        second,
        campaign=first.header.campaign | {"seed": 9},
        seeds={"campaign": 9},
        host=host,
        git_commit="0" * 40,
    )
    found = pooling(first, other)
    assert found.may
    assert {c.what for c in found.differing} == {"boot", "source"}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"campaign": {"requests": 41}}, "campaign"),
        ({"models": {"cnn-tiny": "9" * 64}}, "models"),
        ({"lab_sha256": "9" * 64}, "lab file"),
        ({"profiles": PROFILES | {"jetson/cnn-tiny": "9" * 64}}, "profiles"),
        ({"host": {"cpu": "Example CPU", "cores": 64}}, "processor"),
        ({"host": {"cpu": "Example CPU", "cores": 2, "id": "f00"}}, "host"),
        ({"host": {"cpu": "Example CPU", "cores": 2, "kernel": "7.0"}}, "kernel"),
        ({"host": {"cpu": "Example CPU", "cores": 2, "governor": "powersave"}}, "governor"),
        ({"host": {"cpu": "Example CPU", "cores": 2, "clock_source": "hpet"}}, "clock source"),
        ({"agent_sha256": "9" * 64}, "agent"),
        ({"versions": {"python": "3.11.0", "numpy": "2.1.0"}}, "versions"),
        ({"after": Source(run="x", created="y")}, "time"),
    ],
)
def test_what_can_move_a_figure_forbids_it(first, second, changes, what) -> None:
    found = pooling(first, with_header(second, **changes))
    assert not found.may
    assert [c.what for c in found.differing] == [what]
    assert found.verdict.startswith(f"must not be pooled, because {what} differ")


def seen(run, **changes):
    """The run with other facts of its board ``jetson``."""
    trials = tuple(
        msgspec.structs.replace(
            trial,
            boards=tuple(
                msgspec.structs.replace(board, facts=board.facts | changes) if board.id == "jetson" else board
                for board in trial.boards
            ),
        )
        for trial in run.trials
    )
    return msgspec.structs.replace(run, trials=trials)


@pytest.mark.parametrize(
    ("fact", "says"),
    [
        ({"governor": "powersave"}, "governor powersave"),
        ({"settings_held": {"power-mode": "2"}}, "settings_held.power-mode 2"),
        ({"runtimes": {"onnxruntime": {"version": "1.20"}}}, "runtimes.onnxruntime.version 1.20"),
        ({"realtime": False}, "realtime False"),
    ],
)
def test_a_board_that_was_not_the_same_forbids_it(first, second, fact, says) -> None:
    found = pooling(first, seen(second, **fact))
    assert not found.may
    (differing,) = found.differing
    assert (differing.what, differing.first) == ("boards", "")
    assert differing.second == f"jetson {says}"
    assert found.verdict == "must not be pooled, because boards differ"


def test_of_a_fact_with_many_parts_only_those_that_differ_are_shown(first, second) -> None:
    meters = {"ina3221": {"rails": ["VDD_IN"], "scope": "the input"}}
    other = {"ina3221": {"rails": ["VDD_IN"], "scope": "the module"}}
    (differing,) = pooling(seen(first, meters=meters), seen(second, meters=other)).differing
    assert differing.first == "jetson meters.ina3221.scope the input"
    assert differing.second == "jetson meters.ina3221.scope the module"


def test_another_process_on_the_same_board_does_not(first, second) -> None:
    assert pooling(seen(first, pid=1, models=["a"]), seen(second, pid=2, models=[])).verdict == MAY


def test_profiles_measured_anew_by_every_run_do_not(first, second) -> None:
    assert measured_at_start(first.header) == {"host"}
    found = pooling(first, with_header(second, profiles=PROFILES | {"host/resnet8": "9" * 64}))
    assert found.may
    assert [c.what for c in found.differing] == ["profiles measured at the start"]


def test_a_run_is_not_pooled_with_itself_nor_with_half_a_run(first, second) -> None:
    assert pooling(first, first).reasons == ("they are the same run",)
    half = msgspec.structs.replace(second, footer=None)
    assert pooling(first, half).reasons == ("a run is not complete",)
