"""Virtual boards for benchmarks: the lab's own kinds, with models whose service time is given."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.virtual.boards import VirtualBoard, virtual_jetson, virtual_serial
from testbed.model.lab import BoardSpec, ModelFiles
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Quantity, Service

if TYPE_CHECKING:
    from collections.abc import Mapping

ZOO = Path(__file__).parents[1] / "testbed/zoo/fashion-mnist"
NETWORK = "cnn-tiny"
TASK = "image-classification/fashion-mnist"
KINDS = {"ssh": virtual_jetson, "serial": virtual_serial}


def virtual_board(
    link: str, name: str, folder: Path, *, service_ms: Mapping[str, float] | None = None, **options: object
) -> VirtualBoard:
    """A board, not open, whose state lies in ``folder``.

    Args:
        link: ``ssh`` or ``serial``.
        service_ms: by model; all of them run the smallest network there is, and take this long.
        options: as in a lab file.
    """
    times = service_ms or {}
    spec = BoardSpec(
        id=name,
        kind=f"virtual-{link}",
        site="edge",
        options=options,
        file=folder / "benchmark",
        models={model: _files(model) for model in times},
        profiles={model: _profile(name, model, ms) for model, ms in times.items()},
        state=folder,
        fence=time.time_ns(),
    )
    return KINDS[link](spec)


def _files(model: str) -> ModelFiles:
    path = ZOO / f"{NETWORK}.onnx"
    return ModelFiles(
        name=model,
        task=TASK,
        paths=(path,),
        sha256=(hashlib.sha256(path.read_bytes()).hexdigest(),),
        predictions=ZOO / f"predictions/{NETWORK}.npz",
    )


def _profile(board: str, model: str, ms: float) -> HwProfile:
    source = "asked for by a benchmark"
    return HwProfile(
        schema=1,
        board=board,
        model=model,
        task=TASK,
        service=(Service(batch=1, p=(0.0, 1.0), ms=(ms, ms), origin=Origin.ASSUMED, source=source),),
        accuracy=(Quantity(value=0.8, origin=Origin.ASSUMED, source=source),),
    )
