"""Counters of the host, from a made-up /proc and from the real one."""

from __future__ import annotations

import os

import pytest

from testbed.measure.environment import (
    boot_id,
    clock_source,
    contended,
    cpu_model,
    governor,
    host_id,
    host_use,
    snapshot,
    told,
)
from testbed.model.environment import HostUse


def fake(root, *, run=10, wait=1, steal=0, some=5, user=100):
    """A /proc with one watched process of two threads."""
    for thread, share in (("7", 1), ("8", 2)):
        folder = root / "7" / "task" / thread
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schedstat").write_text(f"{run * share * 10**9} {wait * share * 10**9} 3\n")
    (root / "stat").write_text(f"cpu  {user} 0 0 900 0 0 0 {steal} 0 0\ncpu0 1 2 3\n")
    (root / "pressure").mkdir(exist_ok=True)
    (root / "pressure" / "cpu").write_text(f"some avg10=0.00 total={some}\nfull avg10=0.00 total=0\n")
    (root / "sys/kernel/random").mkdir(parents=True, exist_ok=True)
    (root / "sys/kernel/random/boot_id").write_text("abc\n")
    (root / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Example 9000\n")
    return root


def test_difference_of_two_snapshots(tmp_path):
    before = snapshot([7], proc=fake(tmp_path))
    after = snapshot([7], proc=fake(tmp_path, run=20, wait=2, steal=50, user=200))
    use = host_use(before, after, proc=tmp_path)
    assert use.wait_frac == pytest.approx(0.1)
    assert use.steal_frac == pytest.approx(0.5)
    assert use.stalled_frac == 0
    assert use.boot_id == "abc"
    assert use.reason == ""


def test_what_the_kernel_does_not_count_is_none_with_a_reason(tmp_path):
    first = snapshot([7], proc=tmp_path)
    use = host_use(first, snapshot([7], proc=tmp_path), proc=tmp_path)
    assert (use.wait_frac, use.steal_frac, use.busy_frac, use.stalled_frac) == (None, None, None, None)
    assert "steal" in use.reason
    assert "run-queue wait" in use.reason
    assert contended(use)


def test_the_coordinators_own_wait_is_known_whatever_is_watched(tmp_path):
    def counted(run, wait):
        folder = fake(tmp_path) / str(os.getpid()) / "task" / "1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schedstat").write_text(f"{run * 10**9} {wait * 10**9} 3\n")
        return snapshot(proc=tmp_path)

    use = host_use(counted(1, 0), counted(5, 1), proc=tmp_path)
    assert (use.wait_frac, use.own_wait_frac) == (None, pytest.approx(0.25))
    assert use.reason == ""
    assert (
        told(use)
        == "with work to do, the coordinator waited for a core 20.0% of the time, some task waited 0.0% of the time"
    )


def test_five_seconds_of_waiting_per_second_of_work_are_told_as_a_share_of_their_sum():
    assert "waited for a core 83.3% of the time, limit 1%" in contended(use(wait_frac=5.0))
    assert told(use(wait_frac=5.0)) == "with work to do, boards waited for a core 83.3% of the time"


def test_what_is_not_counted_is_told():
    assert told(use(steal_frac=0.031, reason="not counted: pressure")) == "steal 3.1%, not counted: pressure"


def use(**changes):
    return HostUse(boot_id="b", start=0, end=10, cores=2, **changes)


@pytest.mark.parametrize(
    ("changes", "is_contended"),
    [
        ({"wait_frac": 0.009, "steal_frac": 0.0}, False),
        ({"wait_frac": 0.011, "steal_frac": 0.0}, True),
        ({"wait_frac": 0.0, "steal_frac": 0.02}, True),
        ({"wait_frac": 0.0, "stalled_frac": 0.5}, False),
        ({"stalled_frac": 0.5}, True),
        ({"stalled_frac": 0.001}, False),
    ],
)
def test_over_one_per_cent_is_contended(changes, is_contended):
    assert bool(contended(use(**changes))) is is_contended


def test_the_real_host_can_be_read():
    before = snapshot([os.getpid()])
    sum(i * i for i in range(200_000))
    found = host_use(before, snapshot([os.getpid()]))
    assert found.end > found.start
    assert found.cores >= 1
    assert isinstance(boot_id(), str)
    assert isinstance(governor(), str)


def test_cpu_model(tmp_path):
    assert cpu_model(proc=fake(tmp_path)) == "Example 9000"
    assert cpu_model(proc=tmp_path / "none") == ""


def test_governor(tmp_path):
    folder = tmp_path / "cpu0" / "cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text("performance\n")
    assert governor(cpu=tmp_path) == "performance"


def test_the_host_is_told_apart_without_being_named(tmp_path):
    file = tmp_path / "machine-id"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    found = host_id(file=file)
    assert len(found) == 16
    assert found not in file.read_text()
    file.write_text("another\n")
    assert host_id(file=file) != found
    assert host_id(file=tmp_path / "none") == ""


def test_the_clock_source_is_the_kernels_word(tmp_path):
    (tmp_path / "current_clocksource").write_text("tsc\n")
    assert clock_source(folder=tmp_path) == "tsc"
    assert clock_source(folder=tmp_path / "none") == ""
