"""Times what lies on the way of every request, and prints the median and the slowest tenth."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from testbed.model.execution import Step
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.wire import PROTOCOL_VERSION, Role, Session, Tensor
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run all of them."""
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

    _show("wire: one image from session to session", carry, 2000)
    _show("record: encode one line of the journal", lambda: msgspec.json.encode(record), 20000)
    fresh = [sys.executable, "-c", "from testbed.cli import main; main()", "version"]
    _show(
        "program: start, say the version, end",
        lambda: subprocess.run(fresh, check=True, capture_output=True),
        10,
    )


def _pair() -> tuple[Session, Session]:
    """Two sessions that have greeted each other."""
    host, agent = Session(Role.HOST), Session(Role.AGENT)
    host.send(m.Hello(PROTOCOL_VERSION, 1, random.getrandbits(64), "", 1 << 24, ""))
    agent.receive(host.data_to_send())
    agent.send(m.Welcome(PROTOCOL_VERSION, 1, "", "bench", {}, 64, 1 << 24))
    host.receive(agent.data_to_send())
    return host, agent


def _show(name: str, work: Callable[[], object], repeats: int) -> None:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - start)
    p50, p90 = np.quantile(taken, (0.5, 0.9)) / 1e3
    print(f"{name:45} {p50:12.1f} us  (90 %: {p90:.1f} us, n = {repeats})")


if __name__ == "__main__":
    main()
