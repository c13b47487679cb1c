from __future__ import annotations

import msgspec
import pytest

from testbed.campaign.profiling.energies import executing_j, power_fields
from testbed.campaign.profiling.journal import EnergySeen
from testbed.campaign.profiling.plan import Cell
from testbed.model.origin import Origin

IDLE_W, ACTIVE_W = 4.0, 9.0
SEEN = EnergySeen(
    cell=Cell(exit=0, batch=2),
    meter="ina3221",
    n=100,
    span_s=10.0,
    service_s=8.0,
    gross_j=ACTIVE_W * 8 + IDLE_W * 2,
    net_j=(ACTIVE_W - IDLE_W) * 8,
    sigma_j=0.4,
    sigma_gross_j=0.3,
    idle_w=IDLE_W,
    sigma_idle_w=0.2,
    idle_drift_w=0.01,
    refresh_s=0.0264,
    samples=400,
    origin="emulated",
    metered="rail",
    what="VDD_IN",
)


def test_gaps_between_executions_do_not_count():
    value, sigma = executing_j(SEEN)
    assert value == pytest.approx(72.0)
    assert sigma == pytest.approx(0.5), "0.3 J, and 0.2 W over two seconds of gaps"


def test_one_item_of_a_batch_gross_and_net():
    fields = power_fields([SEEN], last=0)
    rows = {row.net: row for row in fields.energy_mj}
    assert rows[False].value == pytest.approx(72 / 200 * 1e3)
    assert rows[True].value == pytest.approx(40 / 200 * 1e3)
    assert rows[True].sigma == pytest.approx(0.4 / 200 * 1e3)
    assert {(row.batch, row.n, row.origin, row.metered.kind) for row in fields.energy_mj} == {
        (2, 200, Origin.EMULATED, "rail")
    }
    assert fields.remarks == ()


def test_powers_are_those_while_executing_and_at_rest():
    one = msgspec.structs.replace(SEEN, cell=Cell(exit=1, batch=1))
    fields = power_fields([SEEN, one], last=1)
    assert fields.active_w.value == pytest.approx(ACTIVE_W)
    assert fields.active_w.sigma == pytest.approx(0.5 / 8)
    assert fields.idle_w.value == pytest.approx(IDLE_W)
    assert fields.idle_w.sigma == pytest.approx(0.2), "what windows have in common does not average out"
    assert fields.refresh_ms.value == pytest.approx(26.4)
    assert power_fields([SEEN], last=1).active_w is None, "the last exit was not metered"


def test_what_could_not_be_had_is_none_and_says_why():
    lacking = [EnergySeen(cell=Cell(exit=0, batch=b), meter="", reason="no meter") for b in (1, 2)]
    fields = power_fields(lacking, last=0)
    assert (fields.active_w, fields.idle_w, fields.energy_mj) == (None, None, ())
    assert fields.remarks == ("no energy: no meter",)
    [remark] = power_fields([SEEN, lacking[0]], last=0).remarks
    assert "exit 0, batch 1" in remark


def test_energies_of_different_kinds_are_not_mixed():
    wall = msgspec.structs.replace(SEEN, cell=Cell(exit=0, batch=4), metered="wall")
    fields = power_fields([SEEN, wall], last=0)
    assert {row.metered.kind for row in fields.energy_mj} == {"rail"}
    assert "wall" in fields.remarks[0]


def test_a_meter_of_which_nobody_says_what_it_covers_gives_no_figure():
    fields = power_fields([msgspec.structs.replace(SEEN, metered=None)], last=0)
    assert fields.energy_mj == ()
    assert "nobody says" in fields.remarks[0]


def test_idle_power_that_drifted_is_remarked():
    drifted = msgspec.structs.replace(SEEN, idle_drift_w=-0.5)
    assert "-0.500 W" in power_fields([drifted], last=0).remarks[0]


def test_without_rests_there_is_no_net_energy():
    bare = msgspec.structs.replace(SEEN, idle_w=None, net_j=None, sigma_j=None, reason="idle power unknown")
    fields = power_fields([bare], last=0)
    assert [row.net for row in fields.energy_mj] == [False]
    assert fields.idle_w is None
