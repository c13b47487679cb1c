"""Steps on one clock, with origin and bound."""

from __future__ import annotations

import msgspec
import pytest

from testbed.measure.clocksync import ClockBook, fit_clocks
from testbed.measure.timeline import timelines
from testbed.model.execution import Step
from testbed.model.origin import Origin
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.units import MS, US, S
from tests.testbed.measure.test_clocksync import START, on_board, probes
from tests.testbed.store.synthetic import facts

OFFSET, DRIFT = 44 * S, 25.0


def record(**changes):
    """Arrived at START, started 30 ms later, served 4 ms, 10 ms on the way up and 6 down."""

    def board(t):
        return on_board(START + t, OFFSET, DRIFT)

    fields = {
        "id": (1, 0),
        "board": "host",
        "model": "m",
        "decided": START + 1 * MS,
        "sent": START + 2 * MS,
        "received": board(12 * MS),
        "started": board(30 * MS),
        "finished": board(34 * MS),
        "answered": START + 40 * MS,
    }
    step = Step(**(fields | changes))
    return RequestRecord(
        request=Request(id=9, task="t", sample=0, arrival=START),
        outcome=Outcome.COMPLETED,
        seen=START,
        ended=START + 40 * MS,
        steps=(step,),
        used=((1, 0),),
    )


BOOK = fit_clocks(
    msgspec.structs.replace(probe, board="host")
    for probe in probes(OFFSET, DRIFT, [(60 * US, 50 * US)] * 10, begin=START - 5 * S)
)


def test_segments_add_up_within_the_bound():
    (line,) = timelines([record()], BOOK, {"host": facts("host")})
    assert 50 * US < line.bound < 100 * US
    assert line.queueing == pytest.approx(30 * MS, abs=line.bound)
    assert line.service == pytest.approx(4 * MS, abs=2 * US)
    assert line.response == 40 * MS


def test_the_offset_cancels_in_the_transfer():
    (line,) = timelines([record()], BOOK, {"host": facts("host")})
    assert line.transfer == pytest.approx(16 * MS, abs=2 * US)


def test_every_segment_keeps_its_origin_and_the_sum_takes_the_weakest():
    (line,) = timelines([record()], BOOK, {"host": facts("host")})
    assert (line.service_origin, line.transfer_origin) == (Origin.MEASURED, Origin.EMULATED)
    assert line.response_origin is Origin.EMULATED


def test_contention_weakens_measured_but_not_emulated_service():
    boards = {"host": facts("host")}
    (measured,) = timelines([record()], BOOK, boards, frozenset({"host"}))
    (emulated,) = timelines([record(origin=Origin.EMULATED)], BOOK, boards, frozenset({"host"}))
    assert measured.service_origin is Origin.CONTENDED
    assert emulated.service_origin is Origin.EMULATED


@pytest.mark.parametrize(
    ("changes", "book"),
    [({"received": None, "started": None, "finished": None, "error": "cut"}, BOOK), ({}, ClockBook({}))],
    ids=["failed attempt", "board never probed"],
)
def test_what_cannot_be_placed_is_none_and_the_response_stays(changes, book):
    (line,) = timelines([record(**changes)], book, {})
    assert line.queueing is None
    assert line.transfer is None
    assert line.service is None
    assert line.response == 40 * MS
