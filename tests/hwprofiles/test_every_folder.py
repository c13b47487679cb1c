"""Every folder of profiles is complete, in order, and says where its figures come from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.model.origin import Origin
from testbed.store.profile_checks import figures, shortcomings
from testbed.store.profiles import load_profiles

ROOT = Path(__file__).parents[2] / "hwprofiles"
FOLDERS = sorted(folder for folder in ROOT.iterdir() if folder.is_dir())
CITED = [folder for folder in FOLDERS if not folder.name.startswith("virtual-")]
SOURCE = re.compile(r"MLPerf (Tiny|Inference) v\d\.\d, [\w-]+, \S+[,:]")


def test_the_boards_that_experiments_are_promised_are_there():
    assert {folder.name for folder in CITED} >= {
        "pynq-z2",
        "nucleo-l4r5zi",
        "jetson-xavier-nx",
        "jetson-agx-orin",
        "jetson-agx-orin-tflite",
        "raspberry-pi-4-tflite",
        "gpu-server-a2",
    }


def test_they_stay_small():
    assert sum(file.stat().st_size for file in ROOT.rglob("*") if file.is_file()) < 1_500_000


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_profile_is_read_and_says_what_it_should(folder):
    for profile in load_profiles(folder).values():
        assert shortcomings(profile) == []
        assert profile.board == folder.name


@pytest.mark.parametrize("folder", CITED, ids=lambda folder: folder.name)
def test_every_figure_of_a_real_board_is_cited_or_derived_or_visibly_assumed(folder):
    for profile in load_profiles(folder).values():
        assert profile.provenance is not None
        assert profile.provenance.licence.startswith("Apache-2.0")
        assert profile.provenance.citation in profile.service[0].source
        for key, figure in figures(profile).items():
            if figure.origin is Origin.ASSUMED:
                assert key == "idle_w", (profile.model, key)
                continue
            assert figure.origin in (Origin.CITED, Origin.DERIVED), (profile.model, key)
            assert SOURCE.match(figure.source), (profile.model, key, figure.source)


@pytest.mark.parametrize("folder", CITED, ids=lambda folder: folder.name)
def test_power_and_energy_of_a_real_board_fit_each_other(folder):
    profiles = load_profiles(folder)
    assert any(profile.idle_w is not None for profile in profiles.values())
    for profile in profiles.values():
        gross = profile.energy_at()
        if gross is None:
            continue
        assert profile.active_w.value > (profile.idle_w.value if profile.idle_w is not None else 0)
        net = profile.energy_at(net=True)
        assert net is None or 0 < net.value < gross.value
        # Power times mean time; MLPerf Tiny measures energy and time in two runs, often at other clocks.
        q = [(k + 0.5) / 200 for k in range(200)]
        mean_ms = sum(profile.service_at(q=x) for x in q) / len(q) / 1e6
        limit = 0.25 if "Tiny" in gross.source else 0.2
        assert gross.value == pytest.approx(profile.active_w.value * mean_ms, rel=limit), profile.model


@pytest.mark.parametrize("folder", CITED, ids=lambda folder: folder.name)
def test_larger_batches_take_longer_and_less_each(folder):
    for profile in load_profiles(folder).values():
        if len(profile.service) < 2:
            continue
        assert profile.service_at(8) > profile.service_at(1)
        assert profile.energy_at(8).value < profile.energy_at(1).value


def test_the_ladders_are_ladders():
    lengths = {}
    for folder in CITED:
        if (folder / "ladder.toml").is_file():
            profiles = load_profiles(folder).values()
            lengths[folder.name] = len(profiles)
            accuracies = [profile.accuracy[0].value for profile in profiles]
            assert min(accuracies) < 0.45 < 0.78 < max(accuracies)
    assert len(lengths) == 12
    assert min(lengths.values()) >= 94
