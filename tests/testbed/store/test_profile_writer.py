from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import StoreError
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
from testbed.store.profile_writer import profile_text, write_profile
from testbed.store.profiles import load_profile

WALL = Metered(kind="wall", what="mains input")
SHIPPED = sorted((Path(__file__).parents[3] / "hwprofiles").glob("virtual-*/*.toml"))


def full(text: str = "a source") -> HwProfile:
    def said(value: float) -> Quantity:
        return Quantity(value=value, origin=Origin.CITED, source=text, sigma=0.125, metered=WALL)

    return HwProfile(
        schema=1,
        board="b",
        model="m",
        task="t",
        service=(
            Service(batch=1, exit=0, p=(0.0, 1.0), ms=(1.0, 2.5), origin=Origin.DERIVED, source=text, n=3),
            Service(batch=2, exit=0, p=(0.5,), ms=(4.0,), origin=Origin.CITED, source=text),
        ),
        accuracy=(Quantity(value=0.75, origin=Origin.CITED, source=text),),
        class_accuracy=((0.5, 1.0),),
        kept_bytes=(12,),
        sha256=("00",),
        active_w=said(9.0),
        idle_w=said(3.0),
        load_ms=Quantity(value=1e-7, origin=Origin.ASSUMED, source=text),
        memory_bytes=Quantity(value=1e9, origin=Origin.ASSUMED, source=text),
        created="2026-11-26",
        energy_mj=(
            InferenceEnergy(batch=1, value=7.5, origin=Origin.CITED, source=text, metered=WALL, n=4),
            InferenceEnergy(batch=1, value=5.5, origin=Origin.CITED, source=text, metered=WALL, net=True),
        ),
        accuracy_metric="F1",
        confidence=(
            Confidence(
                threshold=(0.0, 0.5),
                kept_frac=(1.0, 0.5),
                accuracy=(0.75, 0.9),
                origin=Origin.CITED,
                source=text,
            ),
        ),
        provenance=Provenance(run=text, board={"serial no": text, "cpu": "x"}, meter_accuracy="0.1 %"),
    )


@given(st.text(min_size=1).filter(str.strip))
def test_every_field_comes_back_whatever_the_texts_hold(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("w") / "b" / "m.toml"
    write_profile(full(text), file)
    assert load_profile(file) == full(text)
    assert [f.name for f in file.parent.iterdir()] == ["m.toml"]


def test_defaults_are_left_out_and_shipped_profiles_survive_the_round_trip(tmp_path):
    assert "provenance" not in profile_text(msgspec.structs.replace(full(), provenance=None))
    for shipped in SHIPPED:
        file = tmp_path / shipped.parent.name / shipped.name
        write_profile(load_profile(shipped), file)
        assert load_profile(file) == load_profile(shipped)


def test_a_place_that_cannot_be_written_is_named_with_a_cure(tmp_path):
    (tmp_path / "b").write_text("a file, no folder")
    with pytest.raises(StoreError, match=r"m\.toml: cannot be written: .*Choose a folder"):
        write_profile(full(), tmp_path / "b" / "m.toml")
