"""A small program and a logic that answers it by a rule of the test's: real registers and memory, no network."""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np
import pytest

from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.virtual.pynq.fabric import FabricLogic, FaultyFabric
from drivers.virtual.pynq.memory import Arena
from drivers.virtual.pynq.model_fabric import Ended, ModelFabric

IP = "npu_0"
MANIFEST = {"name": "edge-npu", "kind": "edge-npu", "ip": IP, "boards": []}
SCALE = 0.1


def header_of(image: bytes, **changes) -> dict:
    return {
        "model": "toy",
        "onnx_sha256": "0" * 64,
        "requires": {"rows": 16, "lanes": 8, "act_words": 64},
        "sections": {"setup": [0, 1], "run": [64, 2], "image_bytes": len(image)},
        "input": {"shape": [1, 4, 5], "groups": 1, "map": [v - 128 for v in range(256)], "neutral": -128},
        "output": {
            "exits": [
                {
                    "number": k,
                    "name": f"exit{k}",
                    "classes": 3,
                    "scale": SCALE,
                    "zero_point": 0,
                    "cycles": 1000 * (k + 1),
                }
                for k in range(2)
            ],
            "record_bytes": 192,
        },
        "sha256": hashlib.sha256(image).hexdigest(),
        **changes,
    }


def pack(header: dict, image: bytes) -> bytes:
    text = json.dumps(header, sort_keys=True).encode()
    head = struct.pack("<8sI", b"EDGENPU1", len(text)) + text
    return head + bytes(-len(head) % 64) + image


def toy(mark: int = 0, **changes) -> bytes:
    image = bytes([mark]) * 192
    return pack(header_of(image, **changes), image)


def answer(arena, start) -> Ended:
    """Setup ends at once. Else label = first pixel's value mod 3, surer the larger the second pixel is."""
    if start.commands == 1:
        return Ended(cycles=50)
    given = arena.at(start.given, 4 * 5 * 8).view(np.int8).reshape(4, 5, 8)
    values = given[:, :, 0].astype(int) + 128
    label, lead = int(values[0, 0] % 3), int(values[0, 1])
    logits = np.zeros(3, np.int8)
    logits[label] = min(lead, 127)
    table = np.rint(32768 * np.exp(-np.arange(256) * SCALE)).astype(int)
    total = int(table[int(logits.max()) - logits.astype(int)].sum())
    exit_ = 0 if total <= start.limits[0] else 1
    return Ended(
        exit=exit_, label=label, total=total, logits=logits.tobytes(), cycles=1000 * (exit_ + 1), stalls=7
    )


class Board:
    """A logic with faults on order, and what was started on it."""

    def __init__(self) -> None:
        self.starts: list = []
        self.fabric = FaultyFabric(ModelFabric(Arena(np.zeros(1 << 20, np.uint8)), self._execute))
        self.logic = FabricLogic(self.fabric, IP)

    def _execute(self, arena, start) -> Ended:
        self.starts.append(start)
        return answer(arena, start)

    @property
    def setups(self) -> int:
        return sum(start.commands == 1 for start in self.starts)


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def program():
    return read_program(toy())
