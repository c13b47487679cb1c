"""How well virtual boards keep the service times asked of them (1, 5, 20 ms at 10, 50, 90 % load), and what it costs.

Variants differ in what can make the error small on a host with few cores: real-time scheduling of the board's
processes, how long before a deadline a wait spins, and whether an answer is inferred or looked up. Two boards of a
variant run at a time, over SSH, as the boards of a lab do; the variants take turns within each cell, so that what
else this host does meets all of them. The error is the one that reports show: |finished - started - asked|.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from benchmarks.specs import ZOO, virtual_board
from benchmarks.verdict import arguments, conclude
from drivers.virtual.boards import VirtualOptions
from testbed.campaign.loop import new_loop
from testbed.measure.pace import LIMIT_FRAC, Pace, pace_errors
from testbed.model import event as ev
from testbed.model.action import Infer, Item, Load
from testbed.model.execution import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from drivers.virtual.boards import VirtualBoard
    from testbed.ports import BoardEvent

SERVICES_MS = (1, 5, 20)
LOADS_PERCENT = (10, 50, 90)
SPINS_US = (0, 300, 600, 900)
SPINS_NORMAL_US = (0, 600)
"""Without real-time scheduling the wait for a core hides what spinning does: two of them are enough to see that."""
CELL_S = 0.8
"""How long a cell of the design lasts, as far as its bounds on executions allow."""
FEWEST, MOST = 12, 250
BOUND_S = 60.0
AT_A_TIME = 4
"""Boards that start together: on two cores more would only wait for each other."""


class Variant(Struct, frozen=True, kw_only=True):
    """One way to emulate a board."""

    answers: str
    realtime: bool
    spin_us: int

    @property
    def name(self) -> str:
        """As in the names of figures."""
        return f"{self.answers}_{'rt' if self.realtime else 'normal'}_spin{self.spin_us}"


TARGETS: dict[str, dict[str, float]] = {
    f"pace_p99_frac_{ms}ms": {"max": LIMIT_FRAC} for ms in SERVICES_MS if ms >= 5
}
"""Above this a report withholds a P99. No target at 1 ms: there an error of 50 µs, which is one wake-up, decides."""
DEFAULTS = VirtualOptions()
DEFAULT = Variant(answers=DEFAULTS.answers, realtime=DEFAULTS.realtime, spin_us=DEFAULTS.spin_us)
VARIANTS = tuple(
    Variant(answers=answers, realtime=realtime, spin_us=spin_us)
    for answers, realtime in itertools.product(("infer", "replay"), (True, False))
    for spin_us in (SPINS_US if realtime else SPINS_NORMAL_US)
)


class Cell(Struct, frozen=True, kw_only=True):
    """What one variant did at one service time and load.

    Attributes:
        way_ms: time of each request that was not service nor waiting on the board: what spinning costs others.
        load_frac: share of the time in which the boards were executing.
    """

    variant: Variant
    service_ms: int
    load_percent: int
    steps: tuple[Step, ...]
    way_ms: tuple[float, ...]
    load_frac: float


class Rig:
    """A board that is open, and what comes from it."""

    def __init__(self, board: VirtualBoard) -> None:
        """Nothing is open yet."""
        self.board = board
        self._number = 0
        self._waiting: dict[int, asyncio.Future[BoardEvent]] = {}
        self._sent: dict[int, int] = {}

    async def open(self) -> None:
        """Open the board and load its models."""
        await self.board.open(self._hear)
        for ms in SERVICES_MS:
            done = self._expect()
            self.board.send(Load(id=self._number, board=self.board.id, model=_model(ms)))
            async with asyncio.timeout(BOUND_S):
                await done

    def ask(self, model: str, images: np.ndarray, sample: int) -> asyncio.Future[BoardEvent]:
        """Order one inference."""
        done = self._expect()
        order = Infer(id=self._number, board=self.board.id, model=model, batch=(Item(request=self._number),))
        self.board.send(order, images[sample : sample + 1], (sample,))
        return done

    def sent(self, action: int) -> int:
        """When it left [ns]."""
        return self._sent.pop(action)

    def _expect(self) -> asyncio.Future[BoardEvent]:
        self._number += 1
        done: asyncio.Future[BoardEvent] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = done
        return done

    def _hear(self, event: BoardEvent) -> None:
        if isinstance(event, ev.Sent):
            self._sent[event.action] = event.t
        elif isinstance(event, ev.Executed | ev.Loaded):
            self._waiting.pop(event.action).set_result(event)
        elif isinstance(event, ev.Failed):
            self._waiting.pop(event.action).set_exception(RuntimeError(event.error))


async def play(variants: Sequence[Variant], folder: Path, *, quick: bool) -> list[Cell]:
    """All cells of all variants."""
    images = np.load(ZOO / "test.npz")["images"][:, None]
    times = {_model(ms): float(ms) for ms in SERVICES_MS}
    pairs = {
        variant: [
            Rig(virtual_board("ssh", f"{variant.name}_{i}", folder, service_ms=times, virtual=options))
            for i in range(2)
        ]
        for variant in variants
        for options in [msgspec.to_builtins(variant)]
    }
    rigs = [rig for pair in pairs.values() for rig in pair]
    rng = np.random.default_rng(1)
    cells: list[Cell] = []
    try:
        for first in range(0, len(rigs), AT_A_TIME):
            await asyncio.gather(*(rig.open() for rig in rigs[first : first + AT_A_TIME]))
        print(f"{len(rigs)} boards are up", file=sys.stderr)
        for ms, percent in itertools.product(SERVICES_MS, LOADS_PERCENT):
            count = 5 if quick else executions(ms, percent)
            turns = [variants[place] for place in rng.permutation(len(variants))]
            cells += [await _cell(turn, pairs[turn], ms, percent, count, images) for turn in turns]
            print(f"{ms} ms at {percent} %", file=sys.stderr)
    finally:
        await asyncio.gather(*(rig.board.close() for rig in rigs))
    return cells


async def _cell(
    variant: Variant, pair: Sequence[Rig], ms: int, percent: int, count: int, images: np.ndarray
) -> Cell:
    """Poisson arrivals at both boards, each with a stream of its own."""
    begun = time.monotonic_ns()
    streams = np.random.default_rng([ms, percent]).spawn(len(pair))
    told = await asyncio.gather(
        *(_stream(rig, rng, ms, percent, count, images) for rig, rng in zip(pair, streams, strict=True))
    )
    span = time.monotonic_ns() - begun
    steps: list[Step] = []
    way_ms: list[float] = []
    for rig, events in zip(pair, told, strict=True):
        for event in events:
            execution, sent = event.execution, rig.sent(event.action)
            way_ms.append(((event.t - sent) - (execution.finished - execution.received)) / 1e6)
            steps.append(
                Step(
                    id=(event.action, 0),
                    board=variant.name,
                    model=_model(ms),
                    decided=sent,
                    answered=event.t,
                    started=execution.started,
                    finished=execution.finished,
                    asked_service=execution.asked_service,
                )
            )
    busy = sum((s.finished or 0) - (s.started or 0) for s in steps)
    return Cell(
        variant=variant,
        service_ms=ms,
        load_percent=percent,
        steps=tuple(steps),
        way_ms=tuple(way_ms),
        load_frac=busy / span / len(pair),
    )


async def _stream(
    rig: Rig, rng: np.random.Generator, ms: int, percent: int, count: int, images: np.ndarray
) -> list[ev.Executed]:
    waits = rng.exponential(ms / 1e3 / (percent / 100), count)
    samples = rng.integers(0, len(images), count).tolist()
    loop = asyncio.get_running_loop()
    due = loop.time()
    asked = []
    for wait, sample in zip(waits, samples, strict=True):
        due += wait
        await asyncio.sleep(max(due - loop.time(), 0))
        asked.append(rig.ask(_model(ms), images, sample))
    async with asyncio.timeout(BOUND_S):
        answers = await asyncio.gather(*asked)
    return [answer for answer in answers if isinstance(answer, ev.Executed)]


def executions(ms: int, percent: int) -> int:
    """How many executions of each board a cell holds."""
    return min(max(round(CELL_S * 1e3 / ms * percent / 100), FEWEST), MOST)


def pooled(cells: Iterable[Cell]) -> Pace:
    """Pace error of cells of one variant and service time together."""
    (pace,) = pace_errors(step for cell in cells for step in cell.steps).values()
    return pace


def figures(cells: Sequence[Cell], variants: Sequence[Variant]) -> dict[str, float]:
    """Figures by variant and service time, all loads together; those of the defaults by load as well."""
    found: dict[str, float] = {}
    for ms in SERVICES_MS:
        pace = pooled(c for c in cells if c.variant == DEFAULT and c.service_ms == ms)
        found[f"pace_p99_frac_{ms}ms"] = pace.relative_p99_frac
    for cell in cells:
        if cell.variant == DEFAULT:
            pace, key = pooled([cell]), f"{cell.service_ms}ms_{cell.load_percent}"
            found |= {f"p50_us_{key}": pace.p50_ms * 1e3, f"p99_us_{key}": pace.p99_ms * 1e3}
    for ms in SERVICES_MS:
        for variant in variants:
            pace = pooled(c for c in cells if c.variant == variant and c.service_ms == ms)
            found |= {
                f"p50_us_{ms}ms_{variant.name}": pace.p50_ms * 1e3,
                f"p99_us_{ms}ms_{variant.name}": pace.p99_ms * 1e3,
            }
    for variant in variants:
        way = np.median([w for c in cells if c.variant == variant for w in c.way_ms])
        found[f"way_ms_{variant.name}"] = float(way)
    return found


def show(cells: Sequence[Cell], variants: Sequence[Variant]) -> None:
    """The table: a row per variant, for each service time and load the error's p50 and p99."""
    columns = list(itertools.product(SERVICES_MS, LOADS_PERCENT))
    print(
        "pace error p50 / p99 [us], and the way's p50 / p99 [ms]: per request what was neither service nor queue"
    )
    print(f"{'':24}" + "".join(f"{f'{ms} ms, {percent} %':>16}" for ms, percent in columns) + f"{'way':>14}")
    by_place: Mapping[tuple[str, int, int], Cell] = {
        (c.variant.name, c.service_ms, c.load_percent): c for c in cells
    }
    for name in (variant.name for variant in variants):
        row = [by_place[name, ms, percent] for ms, percent in columns]
        paces = [pooled([cell]) for cell in row]
        texts = "".join(f"{f'{p.p50_ms * 1e3:.0f} / {p.p99_ms * 1e3:.0f}':>16}" for p in paces)
        way = np.quantile([w for cell in row for w in cell.way_ms], (0.5, 0.99))
        print(f"{name:24}{texts}{f'{way[0]:.2f} / {way[1]:.1f}':>14}")
    reached = [
        np.mean([c.load_frac for c in cells if (c.service_ms, c.load_percent) == column])
        for column in columns
    ]
    print(f"{'load reached':24}" + "".join(f"{f'{share:.0%}':>16}" for share in reached))


def _model(ms: int) -> str:
    return f"takes{ms}ms"


def main() -> int:
    """Run it."""
    quick = arguments(__doc__).quick
    variants = [DEFAULT] if quick else list(dict.fromkeys((DEFAULT, *VARIANTS)))
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=new_loop) as runner:
        cells = runner.run(play(variants, Path(folder), quick=quick))
    show(cells, variants)
    n = {f"{ms}ms": sum(len(c.steps) for c in cells if c.service_ms == ms) for ms in SERVICES_MS}
    return conclude("pace", figures(cells, variants), TARGETS, n | {"variants": len(variants)})


if __name__ == "__main__":
    sys.exit(main())
