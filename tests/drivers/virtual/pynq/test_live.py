"""A live board's logic: known inputs are looked up, others computed, cycles come from the table."""

from __future__ import annotations

import shutil

import pytest

from drivers.agent.runtimes.overlay.engine import ALWAYS, Engine
from drivers.agent.runtimes.overlay.layout import Layout
from drivers.agent.runtimes.overlay.manifest import read_manifest
from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.boards.programs import SHIPPED
from drivers.virtual.pynq.cycles import read_cycles
from drivers.virtual.pynq.live import LiveExecutor, live_logic
from testbed.errors import ConfigError
from tests.drivers.agent.runtimes.overlay.conftest import MANIFEST
from tests.drivers.virtual.pynq.conftest import MODEL

FILE = SHIPPED / f"{MODEL}.npu"


class Offered:
    def __init__(self) -> None:
        self.seen: list = []

    def offer(self, program, given, start, ended) -> None:
        self.seen.append((program, given, ended))


@pytest.fixture
def audit():
    return Offered()


@pytest.fixture
def engine(audit):
    return Engine(live_logic([FILE], audit)(read_manifest(MANIFEST), []), "npu_0")


def test_known_inputs_are_looked_up_and_take_their_cycles(engine, audit, images, expected, monkeypatch):
    placed = engine.place(read_program(FILE.read_bytes()))
    layout = Layout(placed.program.input, placed.given)
    layout.fill(images[0])
    engine.run(placed, [ALWAYS])
    # Nothing is computed any more.
    monkeypatch.setattr("drivers.virtual.pynq.golden_fabric.execute", lambda *_: pytest.fail("computed"))
    table = read_cycles(FILE, placed.program.sha256, 1)
    for image, result in zip(images, expected, strict=True):
        layout.fill(image)
        record = engine.run(placed, [ALWAYS])
        assert (record.label, record.total, record.logits) == (
            result.label,
            result.total,
            result.logits.tobytes(),
        )
        assert (record.cycles, record.stalls) == table.of(0)
    assert len(audit.seen) == len(images) + 1
    program, given, ended = audit.seen[-1]
    assert (program, len(given), ended.cycles) == (FILE, placed.program.input.size, table.of(0)[0])


def test_unknown_inputs_and_lost_rows_are_computed(engine, images):
    placed = engine.place(read_program(FILE.read_bytes()))
    layout = Layout(placed.program.input, placed.given)
    layout.fill(images[0])
    known, masked = engine.run(placed, [ALWAYS]), engine.run(placed, [ALWAYS], mask=0xFF00)
    assert masked.logits != known.logits
    layout.fill(255 - images[0])
    other = engine.run(placed, [ALWAYS])
    assert other.logits != known.logits
    assert other.cycles == masked.cycles == known.cycles


def test_a_program_without_cycles_is_refused(tmp_path):
    file = shutil.copy(FILE, tmp_path / "net.npu")
    with pytest.raises(ConfigError, match="cannot be read"):
        LiveExecutor([file])
