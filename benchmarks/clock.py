"""Holds clock alignment against the truth: virtual boards whose clocks are known, over SSH and a 115200-baud line.

A virtual board's clock is a function of this host's, so where a stamp belongs is known exactly. The product's own way
is taken: ``board.probe()``, the probes it emits, and ``ClockBook`` on them. Half of the boards are left alone and
probed as seldom as in a campaign; the clocks of the others jump again and again between their probes, and they reboot
once. Four boards run at a time, so that this host is about as busy as in a lab.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.clock_truth import Epoch, Event, Judged, Pattern, Plan, draw_plan, judge
from benchmarks.specs import virtual_board
from benchmarks.verdict import arguments, conclude
from drivers.virtual.machine.clock import Offset
from drivers.virtual.machine.machine import clock_file
from testbed.campaign.loop import new_loop
from testbed.model.event import BoardUp
from testbed.model.record import ClockProbe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.ports import BoardEvent

LINKS = ("ssh", "serial")
ROUNDS = 4
INSTANTS = 2000
"""Stamps converted for each board."""
CALM = Pattern(gaps=5, every_s=5.0, eventful=False)
EVENTFUL = Pattern(gaps=18, every_s=1.3, eventful=True)
QUICK = (Pattern(gaps=3, every_s=0.6, eventful=False), Pattern(gaps=6, every_s=0.6, eventful=True))
UP_S = 30.0
SILENCE_MS = 2000
"""Given up sooner than usual when nothing is heard: over a serial line that is how a reboot shows."""
TARGETS: dict[str, dict[str, float]] = {
    "within_bound_frac_ssh": {"min": 0.99},
    "within_bound_frac_serial": {"min": 0.99},
    "bound_over_min_rtt_ssh": {"max": 0.75},
    "bound_us_serial": {"max": 1000},
    "missed_steps": {"max": 0},
}


class Life:
    """One board from its start to its end: plays a plan, keeps what was heard and what was true."""

    def __init__(self, link: str, number: int, plan: Plan, folder: Path) -> None:
        """Nothing runs yet."""
        clock = {"clock_offset_ms": plan.offset_ms, "clock_drift_ppm": plan.drift_ppm, "boot_ms": 200}
        name = f"{link}{number}"
        self.link = link
        self.plan = plan
        self.probes: list[ClockProbe] = []
        self.epochs: list[Epoch] = []
        self._boot = 0
        self._up = asyncio.Event()
        self._board = virtual_board(link, name, folder, virtual=clock, silence_ms=SILENCE_MS)
        self._clock = clock_file(folder / name / "machine.json")

    async def play(self, probes: int) -> None:
        """Live it.

        Args:
            probes: at the beginning and the end; eight in between.

        Raises:
            LinkError, BoardError, TimeoutError: the board did not come up.
        """
        await self._board.open(self._hear)
        try:
            offset = Offset(self._clock)
            begun = time.monotonic_ns()
            await self._board.probe(probes)
            event: Event = ""
            for gap in self.plan.gaps:
                await asyncio.sleep(gap.before_s)
                if gap.event:
                    self._close(begun, offset(), event)
                    event = gap.event
                    begun = await self._happen(gap.event, gap.step_s)
                await asyncio.sleep(gap.after_s)
                await self._board.probe(8)
            await self._board.probe(probes)
            await asyncio.sleep(0.5)
            self._close(begun, offset(), event)
        finally:
            await self._board.close()

    def _close(self, begun: int, offset: int, event: Event) -> None:
        now = time.monotonic_ns()
        self.epochs.append(Epoch(start=begun, end=now, offset=offset, boot=self._boot, event=event))

    async def _happen(self, event: Event, step_s: float) -> int:
        """Let it happen; from when on the clock is known again."""
        if event == "step":
            await self._board.faults.step_clock(step_s)
        else:
            self._up.clear()
            await self._board.faults.reboot()
            async with asyncio.timeout(UP_S):
                await self._up.wait()
        return time.monotonic_ns()

    def _hear(self, event: BoardEvent) -> None:
        if isinstance(event, ClockProbe):
            self.probes.append(event)
        elif isinstance(event, BoardUp):
            self._boot = event.boot
            self._up.set()


async def play(rounds: int, folder: Path, *, quick: bool) -> list[Life]:
    """Rounds of four boards at a time, a calm and an eventful one over each link."""
    rng = np.random.default_rng(time.time_ns())
    lives: list[Life] = []
    for number in range(rounds):
        four = []
        for link in LINKS:
            for which, pattern in enumerate(QUICK if quick else (CALM, EVENTFUL)):
                four.append(Life(link, 2 * number + which, draw_plan(rng, pattern), folder))
        async with asyncio.TaskGroup() as group:
            for life in four:
                group.create_task(life.play(8 if quick else 32))
        lives += four
        print(f"round {number + 1} of {rounds}: {len(lives)} boards", file=sys.stderr)
    return lives


def figures(judged: Mapping[str, Sequence[Judged]]) -> dict[str, float]:
    """The figures of both links, the steps and reboots of both together."""
    found: dict[str, float] = {}
    for link, boards in judged.items():
        error, bound, rtt, loose = (
            np.concatenate([getattr(j, name) for j in boards]) for name in ("error", "bound", "rtt", "open")
        )
        held = error <= bound
        found[f"within_bound_frac_{link}"] = float(held.mean())
        if loose.any():
            found[f"within_bound_frac_around_events_{link}"] = float(held[loose].mean())
        known = ~loose & (bound > 0)
        found[f"bound_us_{link}"] = float(np.median(bound[known])) / 1e3
        found[f"bound_p99_us_{link}"] = float(np.quantile(bound[known], 0.99)) / 1e3
        found[f"error_over_bound_{link}"] = float(np.median(error[known] / bound[known]))
        found[f"error_us_{link}"] = float(np.median(error[known])) / 1e3
        found[f"min_rtt_us_{link}"] = float(np.median(rtt[known])) / 1e3
        found[f"bound_over_min_rtt_{link}"] = float(np.median(bound[known] / rtt[known]))
    everything = [j for boards in judged.values() for j in boards]
    found["missed_steps"] = sum(j.missed_steps + j.missed_reboots for j in everything)
    found["false_alarms"] = sum(j.false_alarms for j in everything)
    return found


def main() -> int:
    """Run it."""
    quick = arguments(__doc__).quick
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=new_loop) as runner:
        lives = runner.run(play(1 if quick else ROUNDS, Path(folder), quick=quick))
    rng = np.random.default_rng(0)
    judged: dict[str, list[Judged]] = {link: [] for link in LINKS}
    for life in lives:
        drift_ppb = round(life.plan.drift_ppm * 1000)
        instants = INSTANTS // 10 if quick else INSTANTS
        judged[life.link].append(judge(life.probes, life.epochs, drift_ppb, rng, instants))
    found = figures(judged)
    for name, value in found.items():
        print(f"{name:40} {value:12.4g}")
    everything = [j for boards in judged.values() for j in boards]
    n = {
        "boards": len(lives),
        "probes": sum(len(life.probes) for life in lives),
        "conversions": sum(j.error.size for j in everything),
        "steps": sum(j.steps for j in everything),
        "reboots": sum(j.reboots for j in everything),
    }
    return conclude("clock", found, TARGETS, n)


if __name__ == "__main__":
    sys.exit(main())
