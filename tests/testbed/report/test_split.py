"""The terms of a response time: they leave nothing over, and land where the time was spent."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.measure.timeline import Timeline
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.report.split import TERMS, spend, split, ways_of
from testbed.store.reader import read_run
from testbed.units import MS, US
from tests.testbed.store.synthetic import write_run

gaps = st.integers(min_value=0, max_value=10**9)


def record(arrival: int, seen: int, ended: int) -> RequestRecord:
    request = Request(id=0, task="t", sample=0, arrival=arrival)
    return RequestRecord(request=request, outcome=Outcome.COMPLETED, seen=seen, ended=ended)


def line(*instants: int, board: str = "b") -> Timeline:
    decided, sent, received, started, finished, answered = instants
    return Timeline(
        request=0, board=board, model="m", arrival=0, decided=decided, sent=sent, received=received,
        started=started, finished=finished, answered=answered,
    )  # fmt: skip


@given(st.lists(st.tuples(*[gaps] * 6, st.integers(-(10**9), 10**9)), min_size=1, max_size=4), gaps, gaps)
def test_the_terms_add_up_to_the_response_time_to_the_nanosecond(steps, lateness, closing) -> None:
    at = lateness
    path = []
    for *parts, free in steps:
        instants = at + np.cumsum(parts)
        path.append((line(*(int(i) for i in instants)), at + free))
        at = int(instants[-1])
    whole = record(0, lateness, at + closing)
    spent = spend(whole, path)
    assert spent is not None
    assert sum(spent) == whole.response
    queueing, transfer, service, overhead = spent
    assert service == sum(s[4] for s in steps)
    assert queueing >= 0
    assert overhead >= closing + lateness
    assert transfer >= sum(s[5] for s in steps)


def test_each_stretch_lands_in_its_term() -> None:
    # lateness 10; held 5; encode 7; wire 100; waits 20; works 300; wire 50; closing 3
    whole = record(0, 10, 495)
    path = [(line(15, 22, 122, 142, 442, 492), 0)]
    assert dict(zip(TERMS, spend(whole, path), strict=True)) == {
        "queueing": 25, "transfer": 150, "service": 300, "overhead": 20,
    }  # fmt: skip


def test_waiting_for_the_link_is_queueing_wherever_the_order_waits() -> None:
    # The link is busy until 60: a driver that holds the order back, and a model that stamps it sent at once.
    held_back = spend(record(0, 0, 400), [(line(10, 62, 162, 162, 362, 400), 60)])
    at_once = spend(record(0, 0, 400), [(line(10, 12, 162, 162, 362, 400), 60)])
    assert held_back == (60, 138, 200, 2)
    assert at_once == (60, 140, 200, 0)


def test_without_stamps_nobody_can_say() -> None:
    blind = msgspec.structs.replace(line(0, 1, 2, 3, 4, 5), received=None)
    assert spend(record(0, 0, 9), [(blind, 0)]) is None
    assert spend(record(0, 0, 9), []) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=150))


def test_every_answered_request_of_a_run_is_split_and_sums(run) -> None:
    for attempt in run.trials:
        terms, known, paths = split(attempt, ways_of(run.trials))
        records = sorted(attempt.records, key=lambda r: r.request.arrival)
        assert known.all()
        assert terms.sum(axis=1).tolist() == [r.response for r in records]
        assert paths == [tuple(s.board for s in r.steps) for r in records]
        assert (terms[:, 2] > 0).all()


def test_a_board_that_was_never_probed_leaves_no_split(run) -> None:
    attempt = run.trials[-1]
    probes = tuple(p for p in attempt.probes if p.board != "host")
    _, known, _ = split(msgspec.structs.replace(attempt, probes=probes), {})
    assert attempt.start.policy == "dc-only"
    assert not known.any()


def test_the_way_is_half_the_best_round_trip_without_line_time(run) -> None:
    ways = ways_of(run.trials)
    assert 50 * US <= ways["jetson"] < MS
    assert 50 * US <= ways["mcu"] < MS
