from __future__ import annotations

import numpy as np
import pytest

from testbed.campaign.profiling.energy import refresh_s, weigh, why_unmetered
from testbed.campaign.profiling.plan import Cell
from testbed.model.energy import PowerTrace
from testbed.model.execution import Execution
from testbed.model.lab import BoardFacts
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin
from testbed.model.record import PowerSamples
from testbed.units import MS, S

IDLE_W, ACTIVE_W = 3.0, 7.0


def facts(**told: object) -> BoardFacts:
    return BoardFacts(
        id="b", kind="x", site="edge", boot_id="1", agent_sha256="", facts=told,
        origin="measured", link_origin="measured",
    )  # fmt: skip


def samples(period: int, refresh: int, seed: int = 1) -> list[PowerSamples]:
    """A meter renewed every ``refresh``, read every ``period`` [ns], in blocks of ten."""
    values = np.random.default_rng(seed).normal(5.0, 0.5, 10_000)
    t = np.arange(400) * period
    rows = [(int(x), float(values[x // refresh])) for x in t]
    return [
        PowerSamples(
            board="b", boot=1, meter="m", rails=("in",), total=("in",), origin="measured",
            t=tuple(x for x, _ in rows[i : i + 10]), power_w=tuple(w for _, w in rows[i : i + 10]),
        )
        for i in range(0, 400, 10)
    ]  # fmt: skip


@pytest.mark.parametrize(("period", "refresh"), [(20, 100), (20, 26), (5, 100), (1, 20)])
def test_the_refresh_period_shows_in_values_that_differ(period, refresh):
    assert refresh_s(samples(period * MS, refresh * MS)) == pytest.approx(refresh / 1e3, rel=0.05)


def test_one_that_is_read_too_seldom_shows_the_reading():
    assert refresh_s(samples(100 * MS, 20 * MS)) == pytest.approx(0.1)


def test_too_few_changes_tell_nothing():
    assert refresh_s([]) is None
    assert refresh_s(samples(1 * MS, 100 * MS)[:10]) is None


def test_work_between_rests_gives_the_energy_above_rest():
    t = np.arange(0, 30 * S, 20 * MS, dtype=np.int64)
    working = (t >= 10 * S) & (t < 20 * S)
    trace = PowerTrace(
        t=t, power_w=np.where(working, ACTIVE_W, IDLE_W), rail="in", meter="m", board="b", origin=Origin.EMULATED,
        traits=MeterTraits(quantity="instant", gain_frac=0.01),
    )  # fmt: skip
    runs = [
        Execution(received=i * MS, started=i * MS, finished=(i + 10) * MS, items=())
        for i in range(0, 10_000, 10)
    ]
    told = weigh(Cell(exit=0, batch=1), trace, (10 * S, 20 * S), [(2 * S, 8 * S), (22 * S, 28 * S)], runs)
    assert told.net_j == pytest.approx((ACTIVE_W - IDLE_W) * 10, abs=3 * told.sigma_j)
    assert told.gross_j == pytest.approx(ACTIVE_W * 10, abs=3 * told.sigma_gross_j)
    assert told.idle_w == pytest.approx(IDLE_W)
    assert told.sigma_idle_w >= 0.01 * IDLE_W, "the gain is in it"
    assert (told.n, told.service_s, told.span_s) == (1000, 10.0, 10.0)


def test_why_there_is_no_meter():
    assert "meter_period_ms is 0" in why_unmetered(facts(meters={"ina3221": {}}))
    assert "rapl: only root" in why_unmetered(facts(meters={}, meters_absent={"rapl": "only root"}))
    assert why_unmetered(facts()).startswith("no meter")
