from __future__ import annotations

import pytest

from drivers.boards.composition import Composition
from drivers.boards.facts import facts_of
from testbed.errors import BoardError
from testbed.wire import messages as m


def told(make_spec, held=None, lossy="", **facts):
    parts = Composition(kind="jetson", make_link=lambda: None)
    welcome = m.Welcome(1, 1, "a" * 64, "boot", facts, 4, 100)
    return facts_of(make_spec(), parts, welcome, held or {}, lossy)


def test_facts_are_the_agents_and_what_holds_since(make_spec):
    found = told(make_spec, {"power-mode": "2"}, "taken", cpus=8, memory_bytes=1 << 30)
    assert (found.kind, found.boot_id, found.agent_sha256) == ("jetson", "boot", "a" * 64)
    assert found.facts["settings_held"] == {"power-mode": "2"}
    assert (found.facts["lossy_orders"], found.facts["cpus"], found.memory_bytes) == ("taken", 8, 1 << 30)


def test_what_nobody_asked_for_is_not_mentioned(make_spec):
    found = told(make_spec, memory_bytes="much")
    assert set(found.facts) == {"memory_bytes"}
    assert found.memory_bytes is None


def test_a_meter_that_is_described_wrongly_is_told(make_spec):
    with pytest.raises(BoardError, match="the agent's words on its meters"):
        told(make_spec, meters={"ina": {"traits": {"lag_ms": "long"}}})
