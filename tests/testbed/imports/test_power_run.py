from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import ConfigError
from testbed.imports.power_run import (
    PowerRun,
    idle_of,
    profile_from,
    task_of,
    with_mean,
)
from testbed.imports.submission import Submission
from testbed.model.origin import Origin
from testbed.model.profile import Metered, Provenance
from testbed.store.profile_checks import check_profile

RUN = PowerRun(
    submission=Submission(suite="MLPerf Inference", version="v9.9", submitter="S", system="B"),
    model="resnet50",
    scenario="SingleStream",
    path="closed/S/results/B/resnet50/SingleStream",
    p=(0.5, 0.9, 0.99),
    ms=(10.0, 12.0, 20.0),
    mean_ms=10.2,
    queries=1000,
    mean_w=8.0,
    window_s=10.2,
    n_power=10,
    metered=Metered(kind="wall", what="mains"),
    after_w=3.0,
    accuracy=0.76,
    samples=50000,
)
MULTI = msgspec.structs.replace(
    RUN,
    scenario="MultiStream",
    p=(0.5, 0.99),
    ms=(41.0, 50.0),
    mean_ms=90.0,
    queries=245,
    extremes_ms=(1.0, 99.0),
)


def made(*runs, idle=None):
    return profile_from(runs, board="b", idle=idle, provenance=Provenance(run="r"))


def mean_of(p, ms):
    grid = np.linspace(0, 1, 200_001)
    return float(np.trapezoid(np.interp(grid, p, ms), grid))


def test_a_shortest_time_is_added_such_that_the_mean_is_the_published_one():
    p, ms, added = with_mean(RUN.p, RUN.ms, RUN.mean_ms)
    assert added
    assert p == (0.0, 0.5, 0.9, 0.99)
    assert mean_of(p, ms) == pytest.approx(10.2, rel=1e-6)


@given(
    st.floats(0.1, 100),
    st.floats(1.0, 3.0),
    st.floats(1.0, 3.0),
    st.floats(0.3, 1.5),
)
def test_either_the_mean_is_right_or_the_quantiles_stay_as_published(p50, up90, up99, mean_frac):
    ms = (p50, p50 * up90, p50 * up90 * up99)
    mean = mean_frac * p50
    p, found, added = with_mean((0.5, 0.9, 0.99), ms, mean)
    if added:
        assert 0 < found[0] < p50
        assert mean_of(p, found) == pytest.approx(mean, rel=1e-5)
    else:
        assert (p, found) == ((0.5, 0.9, 0.99), ms)


def test_quantiles_that_need_no_shortest_time_are_cited_as_they_are():
    assert with_mean((0.0, 1.0), (1.0, 2.0), 1.2) == ((0.0, 1.0), (1.0, 2.0), False)
    assert with_mean(RUN.p, RUN.ms, None)[2] is False
    profile = made(RUN, MULTI)
    assert [row.origin for row in profile.service] == [Origin.DERIVED, Origin.CITED]
    assert profile.service[1].ms == MULTI.ms
    assert "extremes 1 and 99 ms" in profile.service[1].source


def test_a_profile_holds_energy_per_sample_of_both_batch_sizes():
    idle = idle_of([RUN, MULTI])
    assert (idle.value, idle.sigma) == (3.0, 0.0)
    profile = made(RUN, MULTI, idle=idle)
    check_profile(profile, "f")
    assert profile.energy_at(1).value == pytest.approx(8.0 * 10.2 / 1000 * 1e3)
    assert profile.energy_at(8).value == pytest.approx(8.0 * 10.2 / (245 * 8) * 1e3, rel=1e-5)
    assert profile.energy_at(1, net=True).value == pytest.approx(5.0 * 10.2)
    assert profile.energy_at(8).n == 1960
    assert profile.accuracy[0].sigma == pytest.approx((0.76 * 0.24 / 50000) ** 0.5, rel=1e-4)
    assert profile.active_w.origin is Origin.DERIVED
    assert (
        "MLPerf Inference v9.9, S, B, closed/S/results/B/resnet50/SingleStream" in profile.service[0].source
    )


def test_a_level_above_the_work_is_no_rest():
    hot = msgspec.structs.replace(RUN, after_w=9.0)
    assert idle_of([hot]) is None
    assert idle_of([hot, RUN]).value == 3.0
    assert idle_of([msgspec.structs.replace(RUN, after_w=None)]) is None
    assert [row.net for row in made(RUN, idle=None).energy_mj] == [False]


def test_what_cannot_be_a_profile_says_why():
    with pytest.raises(ConfigError, match="no SingleStream run"):
        made(MULTI)
    with pytest.raises(ConfigError, match="no accuracy"):
        made(msgspec.structs.replace(RUN, accuracy=None))
    with pytest.raises(ConfigError, match="task of dlrm"):
        made(msgspec.structs.replace(RUN, model="dlrm"))
    assert task_of("ssd-mobilenet") == ("object-detection/coco-2017", "mAP")
    assert task_of("mobilenet-v1-1.0-224-quantized")[1] == "top-1"
