from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed.errors import ConfigError
from testbed.model.origin import Origin
from testbed.model.profile import (
    Confidence,
    HwProfile,
    InferenceEnergy,
    Metered,
    Provenance,
    Quantity,
    Service,
)
from testbed.store.profile_checks import check_names, check_profile, figures, shortcomings

FILE = Path("b/m.toml")
WALL = Metered(kind="wall", what="mains input")
CHIP = Metered(kind="chip", what="core supply")


def watts(value: float, metered: Metered | None = WALL) -> Quantity:
    return Quantity(value=value, origin=Origin.CITED, source="s", metered=metered)


def joules(batch: int = 1, exit_: int = 0, *, metered: Metered = WALL, source: str = "s") -> InferenceEnergy:
    return InferenceEnergy(
        batch=batch, exit=exit_, value=1.0, origin=Origin.CITED, source=source, metered=metered
    )


GOOD = HwProfile(
    schema=1,
    board="b",
    model="m",
    task="t",
    service=(Service(batch=1, p=(0.5,), ms=(1.0,), origin=Origin.CITED, source="s"),),
    accuracy=(Quantity(value=0.5, origin=Origin.CITED, source="s"),),
    active_w=watts(9),
    idle_w=watts(3),
    energy_mj=(joules(1), joules(8)),
    provenance=Provenance(run="a submission"),
)


def curve(threshold=(0.0, 0.5), kept=(1.0, 0.4), accuracy=(0.5, 0.9), exit_=0) -> Confidence:
    return Confidence(
        threshold=threshold, kept_frac=kept, accuracy=accuracy, exit=exit_, origin=Origin.CITED, source="s"
    )


def test_a_good_one_passes_and_lacks_nothing():
    check_names(GOOD, FILE)
    check_profile(msgspec.structs.replace(GOOD, confidence=(curve(),)), FILE)
    assert shortcomings(GOOD) == []
    assert set(figures(GOOD)) == {
        "active_w", "idle_w", "service[0]", "accuracy[0]", "energy_mj[0]", "energy_mj[1]"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"energy_mj": (joules(8), joules(1))}, "energy_mj"),
        ({"energy_mj": (joules(1), joules(1))}, "energy_mj"),
        ({"energy_mj": (joules(1, 1),)}, "energy_mj"),
        ({"energy_mj": (joules(0),)}, "energy_mj"),
        ({"energy_mj": (joules(1, source=" "),)}, "energy_mj[0].source"),
        ({"energy_mj": (joules(1, metered=CHIP),)}, "metered"),
        ({"idle_w": watts(3, CHIP)}, "metered"),
        ({"confidence": (curve(kept=(0.4, 1.0)),)}, "confidence[0]"),
        ({"confidence": (curve(threshold=(0.5, 0.5)),)}, "confidence[0]"),
        ({"confidence": (curve(accuracy=(0.5,)),)}, "confidence[0]"),
        ({"confidence": (curve(accuracy=(0.5, 1.1)),)}, "confidence[0]"),
        ({"confidence": (curve(exit_=1),)}, "confidence"),
        ({"confidence": (curve(), curve())}, "confidence"),
    ],
)
def test_what_is_wrong_is_refused_by_its_key(change, key):
    with pytest.raises(ConfigError) as caught:
        check_profile(msgspec.structs.replace(GOOD, **change), FILE)
    assert caught.value.key == key
    assert caught.value.cure


def test_powers_metered_differently_are_named():
    with pytest.raises(ConfigError, match="active_w wall, idle_w chip"):
        check_profile(msgspec.structs.replace(GOOD, idle_w=watts(3, CHIP)), FILE)


def test_what_is_missing_is_named_but_not_refused():
    bare = msgspec.structs.replace(GOOD, provenance=None, active_w=watts(9, None), energy_mj=())
    check_profile(bare, FILE)
    assert [said.split()[0] for said in shortcomings(bare)] == ["active_w", "no"]
    assert shortcomings(msgspec.structs.replace(GOOD, provenance=Provenance())) != []
    # Nobody needs the provenance of an assumption.
    guess = msgspec.structs.replace(GOOD.service[0], origin=Origin.ASSUMED)
    assert shortcomings(msgspec.structs.replace(GOOD, service=(guess,), provenance=None)) == []
