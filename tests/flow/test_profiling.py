"""A virtual Jetson is profiled, and what comes out is what it was paced and powered by; it then paces another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from testbed.campaign.profiling.plan import Plan
from testbed.campaign.profiling.profile import profile_board
from testbed.coordinator.labfile import LabFile, read_lab
from testbed.model.origin import Origin
from testbed.store.profile_checks import shortcomings
from testbed.store.profile_writer import write_profile
from testbed.store.profiles import load_profile
from tests.flow.conftest import ROOT

if TYPE_CHECKING:
    from testbed.model.profile import HwProfile, Quantity, Service

TASK = "image-classification/fashion-mnist"
IDLE_W, ACTIVE_W = 4.0, 9.0
P = (0.0, 0.25, 0.5, 0.75, 1.0)
MS = {1: (4.0, 4.5, 5.0, 5.5, 8.0), 2: (6.0, 6.5, 7.0, 7.5, 10.0)}
"""Long enough that a crowded machine keeps the pace."""
PLAN = Plan(
    board="jetson",
    model="cnn-small",
    batches=(1, 2),
    instances=(1, 2),
    repeats=80,
    energy_s=0.8,
    accuracy_s=0.2,
    loads=2,
)


def truth(folder: Path) -> HwProfile:
    """The shipped profile with powers and times of our own."""
    shipped = load_profile(ROOT / "hwprofiles/virtual-jetson/cnn-small.toml")
    assert shipped.idle_w is not None
    assert shipped.active_w is not None
    assert shipped.load_ms is not None
    rows = [msgspec.structs.replace(shipped.service[0], batch=b, p=P, ms=ms) for b, ms in MS.items()]
    profile = msgspec.structs.replace(
        shipped,
        board="truth",
        service=tuple(rows),
        idle_w=msgspec.structs.replace(shipped.idle_w, value=IDLE_W),
        active_w=msgspec.structs.replace(shipped.active_w, value=ACTIVE_W),
        load_ms=msgspec.structs.replace(shipped.load_ms, value=60.0),
    )
    write_profile(profile, folder / "truth" / "cnn-small.toml")
    return profile


def lab(folder: Path, profiles: str) -> LabFile:
    file = folder / "lab.toml"
    file.write_text(
        f'schema = 1\nname = "one"\n[boards.jetson]\nkind = "virtual-jetson"\nsite = "edge"\n'
        f'models = ["cnn-small"]\nprofiles = "./{profiles}"\nmeter_period_ms = 20\n'
    )
    return read_lab(file)


@pytest.fixture(scope="module")
def first(module_path: Path) -> tuple[HwProfile, Path]:
    """A profile of the virtual board, and its folder."""
    truth(module_path)
    made = profile_board(
        lab(module_path, "truth"), PLAN, task=TASK, journal=module_path / "first.jsonl", folder="first"
    )
    return made, module_path


def agrees(measured: Service, p: tuple[float, ...], ms: tuple[float, ...]) -> None:
    """No quantile of the measured times lies further from the true distribution than draws of their number do.

    Once in 10,000 tests they would (Dvoretzky-Kiefer-Wolfowitz, with Massart's constant); a crowded machine may
    add a twentieth to each time.
    """
    band = np.sqrt(np.log(2 / 1e-4) / 2 / measured.n)
    for share, value in zip(measured.p, measured.ms, strict=True):
        assert np.interp(value / 1.05, ms, p) <= share + band, (share, value)
        assert np.interp(value * 1.01, ms, p) >= share - band, (share, value)
    assert measured.ms[0] >= ms[0] * 0.99, "nothing is quicker than the quickest"


def within(figure: Quantity | None, true: float) -> None:
    assert figure is not None
    assert figure.sigma is not None
    assert figure.sigma < 0.1 * true
    assert abs(figure.value - true) <= 2 * figure.sigma, (figure.value, figure.sigma, true)


def test_times_are_those_it_is_paced_by(first: tuple[HwProfile, Path]) -> None:
    profile, _ = first
    assert [(row.exit, row.batch, row.n, row.stopped) for row in profile.service] == [
        (0, 1, 80, "repeats"),
        (0, 2, 80, "repeats"),
    ]
    for row in profile.service:
        agrees(row, P, MS[row.batch])
        assert row.origin is Origin.EMULATED
    assert profile.load_ms is not None
    assert profile.load_ms.value == pytest.approx(60, rel=0.5)
    assert profile.load_ms.value >= 60


def test_powers_and_energies_are_those_it_draws_within_their_uncertainty(
    first: tuple[HwProfile, Path],
) -> None:
    profile, _ = first
    within(profile.idle_w, IDLE_W)
    within(profile.active_w, ACTIVE_W)
    for batch, row in ((1, profile.service[0]), (2, profile.service[1])):
        net, gross = profile.energy_at(batch, net=True), profile.energy_at(batch)
        assert net is not None
        assert gross is not None
        assert net.sigma is not None
        assert gross.value > net.value
        # Sums of what was executed meanwhile, so the mean of the service times is known to a few per cent only.
        mean_ms = float(np.mean([np.interp(u, P, MS[batch]) for u in np.linspace(0, 1, 1001)]))
        assert net.value * batch == pytest.approx((ACTIVE_W - IDLE_W) * mean_ms, rel=0.1, abs=2 * net.sigma)
        assert net.metered.kind == "rail"
        assert row.n == 80
    assert profile.meter_refresh_ms is not None
    assert 20 <= profile.meter_refresh_ms.value <= 60


def test_it_can_be_published(first: tuple[HwProfile, Path]) -> None:
    profile, folder = first
    file = folder / "first" / "cnn-small.toml"
    write_profile(profile, file)
    assert load_profile(file) == profile
    assert shortcomings(profile) == []
    said = profile.provenance
    assert said is not None
    assert said.meter.startswith("ina3221")
    assert said.meter_accuracy
    assert said.board["virtual"] == "True"
    assert len(said.hashes["journal"]) == len(said.hashes["agent"]) == 64
    assert "stored" in profile.accuracy[0].source
    assert profile.accuracy[0].value > 0.8
    [_, many] = profile.concurrent
    assert (many.batch, many.instances) == (2, 2)
    [alone] = [row for row in profile.service if row.batch == 2]
    assert 0 < many.items_per_s <= 2 * 2 / (alone.ms[0] / 1e3), "two lanes, two items each"
    assert profile.link_rtt_ms is not None
    assert profile.link_bytes_per_s is not None, said.remarks


def test_it_paces_another_virtual_board(first: tuple[HwProfile, Path]) -> None:
    profile, folder = first
    write_profile(profile, folder / "first" / "cnn-small.toml")
    plan = msgspec.structs.replace(PLAN, batches=(1,), instances=(1,), seed=2, energy_s=0.0)
    again = profile_board(lab(folder, "first"), plan, task=TASK, journal=folder / "again.jsonl")
    agrees(again.service[0], profile.service[0].p, profile.service[0].ms)
    assert again.accuracy[0].value == profile.accuracy[0].value
    assert again.idle_w is None
