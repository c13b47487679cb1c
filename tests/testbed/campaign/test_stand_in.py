from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed.campaign.stand_in import stand_in
from testbed.errors import ConfigError
from testbed.model.origin import Origin
from testbed.store.profile_checks import check_profile
from testbed.store.profiles import find_folder, load_profiles
from testbed.zoo.catalog import load_catalog, shipped

CATALOG = load_catalog(shipped("image-classification/fashion-mnist"))
PI = load_profiles(find_folder("raspberry-pi-4-tflite"))
FAST, MIDDLE, SLOW = (PI[f"mobilenet-v1-{size}-quantized"] for size in ("0.25-128", "0.5-128", "1.0-224"))


def test_pace_and_power_are_the_published_ones_and_visibly_assumed():
    made = stand_in(CATALOG, "cnn-small", [FAST], board="pi")
    check_profile(made, Path("pi/cnn-small.toml"))
    assert (made.board, made.model, made.task) == ("pi", "cnn-small", CATALOG.task)
    assert made.service_at() == FAST.service_at()
    assert made.service_at(q=0.99) == FAST.service_at(q=0.99)
    assert made.active_w.value == FAST.active_w.value
    assert {row.origin for row in made.service} == {made.active_w.origin} == {Origin.ASSUMED}
    assert "stands in" in made.service[0].source
    assert "MLPerf Inference v2.0, Krai" in made.service[0].source
    # What the board draws at rest does not depend on the network.
    assert made.idle_w == FAST.idle_w
    assert made.accuracy[0].origin is Origin.MEASURED
    assert made.sha256 == tuple(part.sha256 for part in CATALOG.model("cnn-small").parts)
    # Its joules are the pace times the power; the published ones are of another network.
    assert made.energy_mj == ()


def test_every_exit_takes_the_time_of_its_own_rung():
    made = stand_in(CATALOG, "resnet8-ee", [FAST, MIDDLE, SLOW], board="pi")
    check_profile(made, Path("pi/resnet8-ee.toml"))
    assert [made.service_at(1, exit_) for exit_ in range(3)] == [
        rung.service_at() for rung in (FAST, MIDDLE, SLOW)
    ]
    assert made.active_w.value == SLOW.active_w.value


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'cnn-small'"):
        stand_in(CATALOG, "cnn-smal", [FAST], board="pi")
    with pytest.raises(ConfigError, match="3 exits, but 1"):
        stand_in(CATALOG, "resnet8-ee", [FAST], board="pi")
    with pytest.raises(ConfigError, match="faster than an earlier one"):
        stand_in(CATALOG, "resnet8-ee", [SLOW, MIDDLE, FAST], board="pi")
    other = msgspec.structs.replace(MIDDLE, board="another")
    with pytest.raises(ConfigError, match="of one board"):
        stand_in(CATALOG, "resnet8-ee", [FAST, other, SLOW], board="pi")
