"""What the core was told and decided comes back in order, and is written in blocks."""

from __future__ import annotations

import pytest

from testbed.model.action import Decision, ExitRule, Infer, Item
from testbed.model.event import NetworkSeen, Tick
from testbed.store.event_log import AT_ONCE, EventLog
from testbed.store.reader import read_events
from testbed.store.schema import Decided


def test_events_and_decisions_come_back_in_order_with_infinities(tmp_path):
    order = Infer(id=1, board="b", model="m", batch=(Item(request=1, exit=ExitRule.at(2)),), latest=2**62)
    entries = [
        NetworkSeen(t=1, board="b", rtt=5, up_bytes_per_s=float("inf"), down_bytes_per_s=1.0),
        Decided(t=1, decision=Decision(actions=(order,), revisit=9)),
        Tick(t=9),
    ]
    log = EventLog(tmp_path / "a.events")
    for entry in entries:
        log.write(entry)
    log.close()
    log.close()
    assert list(read_events(log.path)) == entries


def test_events_are_buffered_and_bounded(tmp_path):
    log = EventLog(tmp_path / "a.events")
    for t in range(AT_ONCE - 1):
        log.write(Tick(t=t))
    assert log.path.stat().st_size == 0
    log.write(Tick(t=AT_ONCE))
    assert log.path.stat().st_size > AT_ONCE
    log.close()


def test_a_log_is_never_overwritten(tmp_path):
    EventLog(tmp_path / "a.events").close()
    with pytest.raises(FileExistsError):
        EventLog(tmp_path / "a.events")
