"""The agent from its sources, with stamps of what it read and wrote last in the report of every answer."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drivers.agent import program
from drivers.agent.lines import StdioLine
from drivers.agent.runtimes import Outcome
from drivers.agent.runtimes.echo import EchoRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from testbed.wire import Tensor

_SEEN = {"read_at": 0, "replied_at": 0}


class _TracedLine(StdioLine):
    def read(self, timeout_s: float | None) -> bytes | None:
        data = super().read(timeout_s)
        _SEEN["read_at"] = time.monotonic_ns()
        return data

    def write(self, data: bytes) -> None:
        _SEEN["replied_at"] = time.monotonic_ns()
        super().write(data)


class _TracedEcho(EchoRuntime):
    def run(
        self,
        model: str,
        instance: int,
        inputs: Sequence[Tensor],
        thresholds: Sequence[Sequence[float]],
        stop_after_ns: Sequence[int],
        samples: Sequence[int],
        cancelled: Callable[[], AbstractSet[int]],
        lost_rows: int = 0,
    ) -> Outcome:
        stamps: dict[str, Any] = dict(_SEEN)
        done = super().run(model, instance, inputs, thresholds, stop_after_ns, samples, cancelled, lost_rows)
        return done._replace(report=stamps)


if __name__ == "__main__":
    program.StdioLine = _TracedLine  # type: ignore[attr-defined]
    code = program.main(sys.argv[1:], runtimes={"echo": _TracedEcho})
    sys.stderr.flush()
    os._exit(code)
