"""Every kind of journal line comes back as it was."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from testbed.model.environment import HostUse
from testbed.model.record import ClockProbe, PowerSamples, TrialStatus
from testbed.store.schema import COUNTS, BoardSeen, Entry, Footer, Header, Note, TrialEnd, Window
from tests.testbed.store.synthetic import facts, header, record_of, requests_of, start

ENTRIES = [
    start("edgesight", "t", requests=3),
    record_of(requests_of(1)[0], "edgesight", np.random.default_rng(0)),
    ClockProbe(board="b", boot=2, t0=1, t1=2, t2=3, t3=2**62),
    PowerSamples(
        board="b", boot=0, meter="m", rails=("a",), total=("a",), t=(1, 2), power_w=(0.1, 0.2), origin="cited"
    ),
    Window(name="load", start=1, end=2),
    BoardSeen(facts=facts("jetson")),
    HostUse(boot_id="x", start=0, end=1, cores=2, wait_frac=0.5),
    Note(t=1, text='quotes " and\nnewlines'),
    TrialEnd(trial="t", attempt=1, status=TrialStatus.LINK_ERROR, requests=3, reason="cut"),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_a_line_comes_back_as_it_was_and_is_one_line(entry):
    line = msgspec.json.encode(entry)
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=Entry) == entry


def test_header_and_footer_come_back_as_they_were():
    for value, kind in ((header(), Header), (Footer(status="failed", ended="now", reason="why"), Footer)):
        assert msgspec.json.decode(msgspec.json.encode(value), type=kind) == value


def test_a_newer_minor_version_may_add_fields():
    data = msgspec.to_builtins(header()) | {"added_later": 1}
    assert msgspec.convert(data, Header, strict=False) == header()


def test_only_ok_and_limit_missed_count():
    assert [s.value for s in COUNTS] == ["ok", "limit_missed"]
