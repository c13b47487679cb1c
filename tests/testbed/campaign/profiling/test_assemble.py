from __future__ import annotations

import msgspec
import numpy as np
import pytest

from testbed.campaign.profiling.accuracy import tabulate
from testbed.campaign.profiling.assemble import GRID, assemble, kept
from testbed.campaign.profiling.journal import Block, LinkSeen, LoadSeen, Remark
from testbed.campaign.profiling.plan import Cell, Plan
from testbed.model.origin import Origin
from testbed.model.profile import Provenance
from testbed.store.profile_checks import shortcomings
from testbed.store.profile_writer import write_profile
from testbed.store.profiles import load_profile

PLAN = Plan(board="b", model="m", batches=(1, 2), instances=(1, 2))
CELLS = PLAN.cells(1)


def block(cell: Cell, seed: int, **change: object) -> Block:
    rng = np.random.default_rng(seed)
    times = np.concatenate(([9e6, 9e6], rng.normal(2e6, 2e4, 100))) * cell.batch
    made = Block(
        cell=cell, ns=tuple(times.astype(int).tolist()), warmup=2, settled=True, wall_s=1.0, items_per_s=400.0
    )
    return msgspec.structs.replace(made, **change)


def entries(**change: object) -> list:
    truth = np.arange(50) % 5
    label = np.where(np.arange(50) < 40, truth, (truth + 1) % 5)
    judged = tabulate(
        label, np.linspace(1, 0.5, 50), truth, exit_=0, classes=5, executed=20, agreed=20, whole=False
    )
    return [
        *(block(cell, seed, **change) for cell in CELLS for seed in range(3)),
        LoadSeen(ns=(3_000_000, 1_000_000, 2_000_000), memory_bytes=(0, 500, 0), text="onnxruntime 1"),
        LinkSeen(rtt=1_100_000, up_bytes_per_s=None, probes=8, origin="measured"),
        judged,
        Remark(text="no rate of the link: why"),
    ]


def made(plan: Plan = PLAN, given: list | None = None):
    return assemble(
        plan,
        entries() if given is None else given,
        folder="b",
        task="t",
        exits=1,
        sha256=("0" * 64,),
        origin=Origin.MEASURED,
        provenance=Provenance(run="test"),
    )


def test_the_warmup_is_kept_apart_and_counted():
    profile = made()
    row = profile.service[0]
    assert (row.exit, row.batch, row.n, row.warmup, row.stopped) == (0, 1, 300, 6, "precise")
    assert row.ms[-1] < 3, "none of the 9 ms is in it"
    times = kept(entries(), CELLS[0])
    assert row.ms == tuple(round(float(q) / 1e6, 4) for q in np.quantile(times, GRID))
    assert row.p50_ms[0] <= row.ms[GRID.index(0.5)] <= row.p50_ms[1]
    assert row.p99_ms == (), "300 values have no interval for a p99"


def test_what_is_written_is_read_again_and_lacks_nothing(tmp_path):
    profile = made()
    file = tmp_path / "b" / "m.toml"
    write_profile(profile, file)
    assert load_profile(file) == profile
    assert shortcomings(profile) == []


def test_concurrency_has_rows_of_its_own():
    [one, two] = made().concurrent
    assert (one.batch, one.instances, one.items_per_s, one.n) == (1, 2, 400.0, 300)
    assert one.stopped == "precise"
    assert two.batch == 2


def test_why_it_was_stopped():
    assert made(msgspec.structs.replace(PLAN, repeats=20)).service[0].stopped == "repeats"
    assert made(msgspec.structs.replace(PLAN, repeats=20)).service[0].n == 20
    assert made(msgspec.structs.replace(PLAN, ci_frac=1e-6)).service[0].stopped == "budget"
    assert made(msgspec.structs.replace(PLAN, p99=True)).service[0].stopped == "budget"


def test_accuracy_says_whether_the_board_executed_it():
    profile = made()
    assert profile.accuracy[0].value == 0.8
    assert "stored predictions" in profile.accuracy[0].source
    assert "20 of 20 executed" in profile.accuracy[0].source
    assert profile.accuracy[0].sigma == pytest.approx((0.8 * 0.2 / 50) ** 0.5, rel=1e-3)
    assert profile.confidence[0].accuracy[0] == 0.8
    assert len(profile.class_accuracy[0]) == 5


def test_a_board_that_computes_something_else_is_remarked():
    given = entries()
    judged = given[-2]
    given[-2] = msgspec.structs.replace(judged, agreed=15)
    assert any("only 15 of 20" in text for text in made(given=given).provenance.remarks)


def test_contended_times_say_so_and_unsettled_blocks_are_remarked():
    profile = made(given=entries(contended=True, settled=False))
    assert {row.origin for row in profile.service} == {Origin.CONTENDED}
    assert profile.accuracy[0].origin is Origin.MEASURED
    assert any("had not settled" in text for text in profile.provenance.remarks)


def test_load_and_link():
    profile = made()
    assert profile.load_ms.value == 2.0
    assert "1.0 to 3.0 ms (onnxruntime 1)" in profile.load_ms.source
    assert profile.memory_bytes.value == 500
    assert profile.link_rtt_ms.value == 1.1
    assert profile.link_bytes_per_s is None
    assert "no rate of the link: why" in profile.provenance.remarks
