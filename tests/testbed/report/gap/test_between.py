"""The gap between a live run and its model: known differences come out again, with what explains them."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import StoreError
from testbed.model.energy import Energy
from testbed.model.origin import Origin
from testbed.report.gap.between import gap
from testbed.report.gap.rows import CIRCULAR, EARLIER_RUN, GIVEN_PROFILE, OTHER_PROFILE, SAME_RUN
from testbed.store.reader import read_run
from testbed.store.schema import Drawn, Source
from testbed.units import MS
from tests.testbed.report.gap.runs import FASTER, LAB, modelled, profile_of, slower
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return slower(read_run(write_run(tmp_path_factory.mktemp("live") / "run", count=200)))


@pytest.fixture(scope="module")
def found(live):
    return gap(live, modelled(live))


def test_a_faster_model_is_faster_by_that_much(found) -> None:
    for policy in found.policies:
        rows = {row.metric: row for row in policy.rows}
        assert policy.pairs == policy.requests == 200
        for metric in ("p50_ms", "p95_ms", "p99_ms", "mean_ms"):
            assert rows[metric].difference.value == pytest.approx(FASTER / MS)
            assert rows[metric].live - rows[metric].virtual == pytest.approx(FASTER / MS)
        for metric in ("offload_frac", "deadline_miss_frac", "accuracy"):
            assert (
                rows[metric].difference.low <= rows[metric].difference.value <= rows[metric].difference.high
            )
        assert rows["accuracy"].difference.value == 0


def test_the_terms_sum_to_the_gap_and_name_the_culprit(found) -> None:
    for policy in found.policies:
        terms = {row.metric: row.difference.value for row in policy.split}
        assert sum(terms.values()) == pytest.approx(policy.split_total.difference.value, abs=1e-9)
        assert policy.residual_ms == 0
        assert policy.split_pairs == 200
        assert policy.same_path_frac == 1
        # The model's records were closed earlier: our own overhead, and nothing else.
        assert terms["overhead"] == pytest.approx(FASTER / MS)
        assert terms["service"] == terms["transfer"] == terms["queueing"] == 0
        assert {row.metric for row in policy.split if row.difference.interval is None} == set()


def test_lost_input_is_a_row_where_there_is_some(live, found) -> None:
    assert all(row.metric != "lost_frac" for policy in found.policies for row in policy.rows)
    hurt = tuple(
        msgspec.structs.replace(
            trial,
            records=tuple(
                msgspec.structs.replace(
                    r, steps=(msgspec.structs.replace(r.steps[0], lost_frac=0.25), *r.steps[1:])
                )
                for r in trial.records
            ),
        )
        for trial in live.trials
    )
    for policy in gap(msgspec.structs.replace(live, trials=hurt), modelled(live)).policies:
        (row,) = (row for row in policy.rows if row.metric == "lost_frac")
        assert (row.live, row.virtual, row.difference.value) == (0.25, 0.0, 0.25)


def test_replicates_tell_their_own_differences(live) -> None:
    def doubled(run):
        again = tuple(
            msgspec.structs.replace(
                t, start=msgspec.structs.replace(t.start, block=1, trial=f"b1-{t.start.policy}")
            )
            for t in run.trials
        )
        return msgspec.structs.replace(run, trials=(*run.trials, *again))

    two = doubled(live)
    rows = {row.metric: row for row in gap(two, doubled(modelled(live))).policies[0].rows}
    assert len(rows["mean_ms"].by_block) == 2
    assert rows["mean_ms"].by_block == pytest.approx((FASTER / MS,) * 2)
    assert rows["mean_ms"].difference.n == 400


def test_energy_over_the_boards_that_both_know(live) -> None:
    def drawn(board: str, net_j: float | None) -> Drawn:
        energy = Energy(
            gross_j=None if net_j is None else net_j + 1.0,
            idle_j=None if net_j is None else 1.0,
            sigma_j=0.01,
            scope=f"{board} as profiled",
            origin=Origin.MODELLED,
            reason="" if net_j is not None else "no power in its profiles",
        )
        return Drawn(board=board, energy=energy)

    virtual = modelled(live, drawn=(drawn("jetson", 2.0), drawn("mcu", 50.0), drawn("host", None)))
    policies = {p.policy: {row.metric: row for row in p.rows} for p in gap(live, virtual).policies}
    row = policies["edge-only"]["net_mj"]
    assert row.virtual == pytest.approx(2.0 / 200 * 1e3), "the mcu, which no meter saw live, is left out"
    assert row.difference.value == pytest.approx(row.live - row.virtual)
    assert row.difference.interval is not None
    nothing = policies["dc-only"]["net_mj"].difference
    assert nothing.value is None
    assert "did any of the work" in nothing.reason


def test_what_a_board_means_is_said(live) -> None:
    boards = {b.board: b for b in gap(live, modelled(live)).boards}
    assert boards["jetson"].relation == CIRCULAR
    assert boards["host"].relation == EARLIER_RUN
    assert boards["host"].live_origin == "measured"
    same = Source(run=live.header.run, created=live.header.created)
    itself = gap(live, modelled(live, after=same))
    assert itself.source_is_live
    assert {b.board: b.relation for b in itself.boards}["host"] == SAME_RUN
    other = modelled(live, profiles=live.header.profiles | {"jetson/cnn-tiny": "9" * 64})
    assert {b.board: b.relation for b in gap(live, other).boards}["jetson"] == OTHER_PROFILE
    named = modelled(
        live, lab_text=LAB + "profiles = 'some-host'\n", known={"host": {"resnet8": profile_of("resnet8")}}
    )
    assert [b.relation for b in gap(live, named).boards] == [GIVEN_PROFILE]


def test_what_rests_on_emulation_is_no_gap_to_the_bench(found) -> None:
    bench = {p.policy: p.bench for p in found.policies}
    assert "jetson" in bench["edge-only"]
    assert "only emulated" in bench["edge-only"]
    assert bench["dc-only"] == "", (
        "the synthetic host is measured, and waits for a core under 1 % of the time"
    )


def test_runs_that_are_no_such_pair_are_refused(live) -> None:
    virtual = modelled(live)
    with pytest.raises(StoreError, match="is a live run"):
        gap(live, live)
    with pytest.raises(StoreError, match="played in virtual time"):
        gap(virtual, virtual)
    start = virtual.trials[0].start
    other = msgspec.structs.replace(
        virtual.trials[0], start=msgspec.structs.replace(start, arrivals_sha256="0" * 64)
    )
    with pytest.raises(StoreError, match="same arrivals"):
        gap(live, msgspec.structs.replace(virtual, trials=(other, *virtual.trials[1:])))


def test_a_trial_that_does_not_count_withholds_its_gap(live) -> None:
    cut = msgspec.structs.replace(
        live, trials=(msgspec.structs.replace(live.trials[0], end=None), *live.trials[1:])
    )
    policies = gap(cut, modelled(live)).policies
    assert all(row.difference.value is None for row in (*policies[0].rows, *policies[0].split))
    assert "does not count" in policies[0].rows[0].difference.reason
    assert policies[1].rows[0].difference.value is not None
