"""What the agent's sampler costs and reaches, reading an INA3221 whose every number takes 7 to 13 ms.

The meter is the agent's own on a virtual board's files, and the sampler its own thread; only the system call that reads
a number is another one: it reads a socket, where another process puts a number whenever a chip would have one, so that
it waits in the kernel as a read of sysfs does. Rate: rows a second, and their share of what the chip gives. CPU: of the
sampler's thread and, beside it, of the whole process while nothing else runs in it, both a row; batching and encoding
the message are included, writing to a line is not. Beside it, what the bare calls that wait and read cost in a thread
that does nothing else: that much no sampler can save.

A sample is one power of the board. Most boards have it in one rail (``ina3221-total``: voltage and current); a row that
holds the rails behind it too, or a total of four rails, costs the CPU time of its numbers, and is shown beside it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.verdict import arguments, conclude
from drivers.agent.meters.ina3221 import find_ina3221, find_ina3221_total
from drivers.agent.sampler import Sampler
from drivers.virtual.meters.ina3221 import VirtualModule
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drivers.agent.meters.sysfs import SysfsMeter

DELAY_S = (0.007, 0.013)
CHIP = """
import os, random, sys, time
fd, draws = int(sys.argv[1]), random.Random(3)
while True:
    time.sleep(draws.uniform(float(sys.argv[2]), float(sys.argv[3])))
    os.write(fd, b"5000\\n")
"""
PERIOD_NS = 1_000_000
"""Shorter than a row takes: the sampler is asked for all it can give."""
ROWS: dict[str, tuple[str, Callable[[str], SysfsMeter], int]] = {
    "total_of_one_rail": ("orin-nano", find_ina3221_total, 2),
    "total_of_four_rails": ("agx-orin", find_ina3221, 8),
    "total_and_two_parts": ("orin-nano", find_ina3221, 6),
    "old_layout_three_rails": ("nano", find_ina3221, 3),
}
"""Board, meter, and numbers a row."""
TARGET_US = 200.0


class Sink:
    """Takes batches, as an outlet whose line is free."""

    writable = True

    def __init__(self) -> None:
        """Nothing heard."""
        self.stamps: list[int] = []
        self.lost = 0

    def send(self, message: m.PowerSamples | m.Log) -> None:
        """Keep what is counted."""
        if isinstance(message, m.PowerSamples):
            m.encode_message(message)
            self.stamps += message.t
            self.lost += message.dropped + sum(message.fault_counts)


class Metered:
    """The agent's meter with a slower chip, noting its thread's CPU time at every row."""

    waits = False

    def __init__(self, meter: SysfsMeter, read_file: Callable[[int, int, int], bytes]) -> None:
        """Read ``meter`` through ``read_file``."""
        meter.read_file = read_file
        self._meter = meter
        self.rails, self.total, self.about = meter.rails, meter.total, meter.about
        self.cpu_ns: list[int] = []

    def start(self, period: int) -> None:
        """As the meter."""
        self._meter.start(period)

    def read(self, now: Callable[[], int]) -> tuple[int, Sequence[float]]:
        """One row; the difference from one CPU time to the next holds all of the sampler's loop."""
        self.cpu_ns.append(time.thread_time_ns())
        return self._meter.read(now)

    def stop(self) -> None:
        """As the meter."""
        self._meter.stop()


def main() -> int:
    """Sample rows of different sizes, one after the other."""
    seconds = 3.0 if arguments(__doc__).quick else 40.0
    figures: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, (board, find, numbers) in ROWS.items():
        seen = _sample(board, find, numbers, seconds)
        figures |= {f"{figure}_{name}": value for figure, value in seen.items() if figure != "rows"}
        counts[name] = round(seen["rows"])
        print(
            f"{name:22} {seen['rate_hz']:5.1f} rows/s, {seen['of_possible_frac']:.1%} of what the chip gives; "
            f"CPU a row: {seen['cpu_us']:.1f} us of the thread ({seen['bare_cpu_us']:.1f} us the bare calls), "
            f"{seen['process_cpu_us']:.1f} us of the process"
        )
    figures["cpu_us_per_sample"] = figures["cpu_us_total_of_one_rail"]
    return conclude("sampler", figures, {"cpu_us_per_sample": {"max": TARGET_US}}, counts)


def _sample(board: str, find: Callable[[str], SysfsMeter], numbers: int, seconds: float) -> dict[str, float]:
    """Figures of one board by name."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    chip = subprocess.Popen(
        [sys.executable, "-S", "-c", CHIP, str(far.fileno()), *map(str, DELAY_S)], pass_fds=(far.fileno(),)
    )
    far.close()
    take, descriptor = os.read, near.fileno()
    with near, tempfile.TemporaryDirectory() as folder:
        VirtualModule(Path(folder), board).draw(9.0)
        meter, sink = Metered(find(folder), lambda _fd, size, _at: take(descriptor, size)), Sink()
        take(descriptor, 32)  # the chip runs
        before = time.process_time_ns()
        sampler = Sampler("ina3221", meter, PERIOD_NS, time.monotonic_ns, sink)
        threading.Event().wait(seconds)
        sampler.stop()
        spent = time.process_time_ns() - before
        bare = _bare_cpu_ns(lambda: take(descriptor, 32), max(len(sink.stamps) * numbers // 10, 20))
    chip.kill()
    chip.wait()
    rows = len(sink.stamps)
    span_s = (sink.stamps[-1] - sink.stamps[0]) / 1e9
    return {
        "rows": rows,
        "rate_hz": (rows - 1) / span_s,
        "of_possible_frac": (rows - 1) * numbers * sum(DELAY_S) / 2 / span_s,
        "cpu_us": float(np.diff(meter.cpu_ns).mean()) / 1e3,
        "process_cpu_us": spent / 1e3 / rows,
        "bare_cpu_us": bare * numbers / 1e3,
        "lost": float(sink.lost),
    }


def _bare_cpu_ns(read: Callable[[], bytes], count: int) -> float:
    """CPU time of one waiting read and nothing else, in a thread that does only that [ns]."""
    spent: list[int] = []

    def work() -> None:
        before = time.thread_time_ns()
        for _ in range(count):
            read()
        spent.append(time.thread_time_ns() - before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return spent[0] / count


if __name__ == "__main__":
    sys.exit(main())
