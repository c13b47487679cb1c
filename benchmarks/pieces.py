"""Times pieces that lie on the way of every request, each alone: median and slowest tenth. No peers, no targets."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from benchmarks.verdict import arguments, conclude
from testbed.model.execution import Step
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.wire import PROTOCOL_VERSION, Role, Session, Tensor
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    """Run all of them."""
    fewer = 20 if arguments(__doc__).quick else 1
    host, agent = _pair()
    image = Tensor("uint8", (1, 1, 28, 28), bytes(784))
    number = iter(range(1, 10**9))

    def carry() -> None:
        order = m.Infer(
            action=next(number),
            model="resnet8",
            instance=0,
            thresholds=((),),
            stop_after_ns=(),
            samples=(7,),
            input=image,
        )
        host.send(order)
        while host.wants_to_send:
            assert agent.receive(host.data_to_send())

    step = Step(id=(1, 0), board="jetson", model="resnet8", decided=1, answered=2, label=3, confidence=0.9)
    asked = Request(id=1, task="image-classification/fashion-mnist", sample=7, arrival=1, min_accuracy=0.9)
    record = RequestRecord(request=asked, outcome=Outcome.COMPLETED, seen=1, ended=2, label=3, steps=(step,))

    counts = {"wire_us": 2000 // fewer, "record_us": 20000 // fewer, "program_us": max(10 // fewer, 1)}
    wire = _show("wire: one image from session to session", carry, counts["wire_us"])
    line = _show(
        "record: encode one line of the journal", lambda: msgspec.json.encode(record), counts["record_us"]
    )
    fresh = [sys.executable, "-c", "from testbed.cli import main; main()", "version"]
    program = _show(
        "program: start, say the version, end",
        lambda: subprocess.run(fresh, check=True, capture_output=True),
        counts["program_us"],
    )
    return conclude("pieces", {"wire_us": wire, "record_us": line, "program_us": program}, {}, counts)


def _pair() -> tuple[Session, Session]:
    """Two sessions that have greeted each other."""
    host, agent = Session(Role.HOST), Session(Role.AGENT)
    host.send(m.Hello(PROTOCOL_VERSION, 1, random.getrandbits(64), "", 1 << 24, ""))
    agent.receive(host.data_to_send())
    agent.send(m.Welcome(PROTOCOL_VERSION, 1, "", "bench", {}, 64, 1 << 24))
    host.receive(agent.data_to_send())
    return host, agent


def _show(name: str, work: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - start)
    p50, p90 = np.quantile(taken, (0.5, 0.9)) / 1e3
    print(f"{name:45} {p50:12.1f} us  (90 %: {p90:.1f} us, n = {repeats})")
    return float(p50)


if __name__ == "__main__":
    sys.exit(main())
