"""The host's snapshots travel in a journal."""

from __future__ import annotations

import msgspec

from testbed.model.environment import HostSnapshot, HostUse


def test_what_was_not_counted_stays_none_through_a_journal():
    use = HostUse(boot_id="b", start=1, end=2, cores=2, reason="not counted: steal")
    again = msgspec.json.decode(msgspec.json.encode(use), type=HostUse)
    assert again == use
    assert again.steal_frac is None


def test_a_snapshot_claims_nothing_it_was_not_given():
    empty = HostSnapshot(t=0, cores=2)
    assert (empty.busy, empty.steal, empty.run, empty.wait, empty.stalled) == (None,) * 5
