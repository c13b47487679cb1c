from __future__ import annotations

import time

from drivers.virtual.meters.rapl import VirtualRapl

ZONES = "sys/class/powercap"


def test_counters_rise_and_begin_again_at_their_range(tmp_path):
    with VirtualRapl(tmp_path, range_uj=10_000) as rig:
        rig.draw(20.0)
        file = tmp_path / ZONES / "intel-rapl:0/energy_uj"
        before = wraps = 0
        until = time.monotonic() + 10
        while not wraps:
            assert time.monotonic() < until
            text = file.read_text()
            count = int(text or before)
            assert count < 10_000
            wraps += count < before
            before = count
    assert (tmp_path / ZONES / "intel-rapl:0:1/name").read_text() == "dram\n"
