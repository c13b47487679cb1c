from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drivers.virtual.machine.board import paced
from drivers.virtual.machine.clock import SkewedClock
from drivers.virtual.machine.config import MachineConfig
from drivers.virtual.machine.load import Load
from tests.drivers.virtual.conftest import ZOO, profile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("answers", "replayed"), [("infer", []), ("replay", ["net"])])
def test_predictions_are_read_only_to_be_replayed(tmp_path: Path, answers: str, replayed: list[str]) -> None:
    config = MachineConfig(
        name="board",
        root=tmp_path,
        seed=1,
        answers=answers,
        profiles={"net": profile("net", 2.0)},
        predictions={"net": ZOO / "predictions/cnn-tiny.npz"},
    )
    runtime = paced(config, SkewedClock(), Load(4.0, {}))
    assert runtime.facts()["paced"] is True
    assert runtime.facts()["replayed"] == replayed
