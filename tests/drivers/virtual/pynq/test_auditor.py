"""The audit's child: agrees with the truth, finds a lie, and the whole way from a live board's logic and back."""

from __future__ import annotations

import base64
import time

import pytest

from drivers.agent.runtimes.overlay.engine import ALWAYS, NEVER, Engine
from drivers.agent.runtimes.overlay.layout import Layout
from drivers.agent.runtimes.overlay.manifest import read_manifest
from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.boards.programs import SHIPPED
from drivers.virtual.pynq.audit import NAMES, Audit
from drivers.virtual.pynq.auditor import Auditor
from drivers.virtual.pynq.live import live_logic
from tests.drivers.agent.runtimes.overlay.conftest import MANIFEST
from tests.drivers.virtual.pynq.conftest import needs_rtl

pytestmark = [needs_rtl, pytest.mark.timeout(300)]
FILE = SHIPPED / "resnet8-ee-int8.npu"


class Asked:
    def __init__(self) -> None:
        self.lines: list[dict] = []

    def offer(self, program, given, start, ended) -> None:
        self.lines.append(
            {
                "program": str(program),
                "given": base64.b64encode(given),
                "limits": start.limits,
                "mask": start.mask,
                "exit": ended.exit,
                "label": ended.label,
                "total": ended.total,
                "logits": base64.b64encode(ended.logits),
                "cycles": ended.cycles,
            }
        )


def executed(audit, images):
    engine = Engine(live_logic([FILE], audit)(read_manifest(MANIFEST), []), "npu_0")
    placed = engine.place(read_program(FILE.read_bytes()))
    layout = Layout(placed.program.input, placed.given)
    for image, limits in zip(images, ([ALWAYS], [NEVER, ALWAYS], [NEVER, NEVER, ALWAYS]), strict=True):
        layout.fill(image)
        engine.run(placed, limits)


def test_it_agrees_with_what_a_live_board_answers_and_finds_what_was_changed(images):
    asked = Asked()
    executed(asked, images[:3])
    auditor = Auditor()
    for line in asked.lines:
        assert auditor.check(line) == {"rtl_audited": 1, "rtl_answers_differ": 0, "rtl_cycles_differ": 0}
    one = asked.lines[0]
    for change in (
        {"label": one["label"] + 1},
        {"total": one["total"] + 1},
        {"logits": base64.b64encode(b"\1" * 10)},
    ):
        assert auditor.check({**one, **change})["rtl_answers_differ"] == 1
    assert auditor.check({**one, "cycles": one["cycles"] + 1000})["rtl_cycles_differ"] == 1


def test_the_child_answers_over_its_pipe(images):
    audit = Audit(1.0, 0)
    try:
        executed(audit, images[:3])
        found, until = dict.fromkeys(NAMES, 0), time.monotonic() + 200
        while found["rtl_audited"] < 3 and time.monotonic() < until:
            for name, value in audit.report().items():
                found[name] += value
            time.sleep(0.05)
        assert found == {"rtl_audited": 3, "rtl_answers_differ": 0, "rtl_cycles_differ": 0}
    finally:
        audit.close()
