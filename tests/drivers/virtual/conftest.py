"""Specs of virtual boards with models of the zoo under profiles that suit a test."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.model.lab import BoardSpec, ModelFiles
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Quantity, Service

if TYPE_CHECKING:
    from collections.abc import Callable

ZOO = Path(__file__).parents[3] / "testbed/zoo/fashion-mnist"
TASK = "image-classification/fashion-mnist"


def quantity(value: float) -> Quantity:
    return Quantity(value=value, origin=Origin.ASSUMED, source="test")


def profile(model: str, ms: float, *, watts: tuple[float, float] = (4.0, 9.0)) -> HwProfile:
    return HwProfile(
        schema=1,
        board="test",
        model=model,
        task=TASK,
        service=(Service(batch=1, p=(0.0, 1.0), ms=(ms, ms), origin=Origin.ASSUMED, source="test"),),
        accuracy=(quantity(0.8),),
        idle_w=quantity(watts[0]),
        active_w=quantity(watts[1]),
    )


def files(name: str) -> ModelFiles:
    path = ZOO / "cnn-tiny.onnx"
    return ModelFiles(
        name=name,
        task=TASK,
        paths=(path,),
        sha256=(hashlib.sha256(path.read_bytes()).hexdigest(),),
        predictions=ZOO / "predictions/cnn-tiny.npz",
    )


@pytest.fixture
def make_spec(tmp_path: Path) -> Callable[..., BoardSpec]:
    """A spec of a kind with models ``quick`` (2 ms) and ``slow`` (50 ms)."""

    def make(kind: str, *, models: tuple[str, ...] = ("quick", "slow"), **options: Any) -> BoardSpec:
        times = {"quick": 2.0, "slow": 50.0}
        return BoardSpec(
            id="board",
            kind=kind,
            site="edge",
            options=options,
            file=tmp_path / "lab.toml",
            models={model: files(model) for model in models},
            profiles={model: profile(model, times[model]) for model in times},
            state=tmp_path / "state",
            seed=7,
            fence=time.time_ns(),
        )

    return make


@pytest.fixture
def zoo() -> Path:
    return ZOO
