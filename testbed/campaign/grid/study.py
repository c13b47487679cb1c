"""Policies over the cells of a grid, in virtual time: where one is better than the others, and where it is not.

A cell is a round trip to the data centre, a load and a number of accuracy targets, and where asked for the rate of the
way there, the size of an input and the deadline. Every policy of a cell and seed sees the same arrivals, inputs and
place in a recorded rate, and where asked for the seed's own draw of calibration and test samples. The operating point
is the cell that a question is asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from testbed.campaign.data import Data
from testbed.campaign.grid.cells import Cell, Factors
from testbed.campaign.grid.crossover import Pair, Radio, crossover_figures
from testbed.campaign.grid.declared import declared_lab
from testbed.campaign.grid.gain import figures
from testbed.campaign.grid.redraw import redrawn, with_known_accuracies
from testbed.campaign.grid.tally import GridRow, Tally
from testbed.campaign.policies import calibrated, make_policy
from testbed.campaign.spec import Calibration, Campaign, Measure
from testbed.campaign.virtual_lab import VirtualLab, known_events, modelled_boards
from testbed.coordinator.boards import board_setups
from testbed.coordinator.core import Core
from testbed.coordinator.labfile import read_lab, read_toml
from testbed.coordinator.simulate import Costs, VirtualTrial
from testbed.errors import ConfigError
from testbed.model.lab import parse_options
from testbed.model.ranges import Seed
from testbed.model.traces import read_trace
from testbed.model.wires import Constant, Later
from testbed.policy.thresholds import ThresholdTable
from testbed.units import from_ms, from_s, to_s
from testbed.workload.mix import Workload, stream_requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.model.action import Infer
    from testbed.model.request import Request
    from testbed.model.wires import Wire
    from testbed.units import Ns

KIND = "grid"
FILE = "campaign.toml"
DRAWS_KEPT = 5


class Contender(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy with options, under a name of its own. ``ours`` is no baseline."""

    policy: str
    ours: bool = False
    options: dict[str, Any] = {}


class GridStudy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The campaign file of a grid.

    Attributes:
        subject: the contender whose gain over the best baseline is the headline.
        seeds: of the operating point; other_seeds: of every other cell.
        redraw: every seed draws calibration and test samples anew from all of both.
        limit_s: bound on the time after the last arrival.
        crossover: two contenders between which the better one may change with the round trip.
        radios: what sending takes over each, for figures of energy.
    """

    schema: int
    kind: str
    name: str
    lab: str
    task: str
    subject: str
    workload: Workload
    operating: Cell
    policies: dict[str, Contender]
    question: str = ""
    seed: Seed = 1
    seeds: int = 5
    other_seeds: int = 1
    redraw: bool = False
    limit_s: float = 30.0
    factors: Factors = Factors()
    calibration: Calibration = Calibration()
    crossover: Pair | None = None
    radios: dict[str, Radio] = {}


def read_grid(folder: Path, *, seed: int | None = None) -> GridStudy:
    """Read and check the file.

    Raises:
        ConfigError: names file, key and cure.
    """
    file = folder / FILE
    _, raw = read_toml(file)
    study = parse_options(raw, GridStudy, file=file, key="")
    most = len(study.workload.needs)
    wrong = {
        "subject": study.subject not in study.policies or not study.policies[study.subject].ours,
        "seeds": study.seeds < 1,
        "other_seeds": study.other_seeds < 1,
        "crossover": study.crossover is not None
        and not {study.crossover.one, study.crossover.other} <= set(study.policies),
        "operating.levels": not 1 <= study.operating.levels <= most,
        "factors.levels": any(not 1 <= n <= most for n in study.factors.levels),
        "workload.needs": any(need.min_accuracy is None for need in study.workload.needs),
        "policies": all(contender.ours for contender in study.policies.values()),
    }
    for key, bad in wrong.items():
        if bad:
            cure = (
                "The subject is one of ours, others are baselines; every need has a target; levels count needs; "
                "a crossover names two policies"
            )
            raise ConfigError("cannot be", file=file, key=key, cure=cure)
    return study if seed is None else msgspec.structs.replace(study, seed=seed)


class _Draw(Struct, frozen=True):
    """What belongs to one draw of samples: they themselves, what was calibrated on them, and a lab that knows it."""

    data: Data
    virtual: VirtualLab
    thresholds: ThresholdTable | None


class Grid:
    """Everything the trials share: lab, data and thresholds, read once, or once a seed."""

    def __init__(self, study: GridStudy, folder: Path) -> None:
        """Read lab, profiles and answers, and calibrate.

        Raises:
            ConfigError: something is missing or wrong.
        """
        self.study = study
        self._lab = read_lab((folder / study.lab).resolve())
        self._campaign = _campaign(study, folder)
        self._shipped = Data({study.task: None})
        self._declared = declared_lab(self._lab)
        self._draws: dict[int | None, _Draw] = {}
        self._capacity = _capacity(self._declared)
        self._traces = {
            cell.uplink: read_trace(folder / cell.uplink)
            for cell in (study.operating, *study.factors.cells(study.operating))
            if isinstance(cell.uplink, str)
        }

    def plan(self) -> list[tuple[Cell, int, str]]:
        """Cells, seeds and contenders in the order they are played; the operating point first."""
        study = self.study
        point = study.operating
        others = [cell for cell in study.factors.cells(point) if cell != point]
        seeds = [(point, study.seed + i) for i in range(study.seeds)]
        seeds += [(cell, study.seed + i) for cell in others for i in range(study.other_seeds)]
        return [(cell, seed, name) for cell, seed in seeds for name in study.policies]

    def play(self, cell: Cell, seed: int, name: str) -> GridRow:
        """One trial.

        Raises:
            ConfigError, PolicyError: the policy cannot be made, or broke its contract.
        """
        study, contender = self.study, self.study.policies[name]
        draw = self._draw(seed if study.redraw else None)
        data = draw.data
        virtual = draw.virtual.with_way("dc", from_ms(cell.rtt_ms), self._wire(cell, seed))
        policy = make_policy(
            contender.policy,
            contender.options,
            virtual.lab,
            virtual.profiles,
            draw.thresholds,
            seed,
            data.truth,
        )
        size = cell.payload_bytes

        def payload_bytes(request: Request, codec: str) -> int:
            return data.payload_bytes(request, codec) if size is None else size

        core = Core(policy, board_setups(virtual.lab, {}), virtual.profiles, payload_bytes, data.truth)
        workload = self.workload(cell)
        tally = Tally({board for board, (table, _) in virtual.lab.boards.items() if table.site == "dc"})
        boards = modelled_boards(virtual, data, seed)
        input_bytes = {model: data.of(model).input_bytes for model in data.models}

        def sent(order: Infer, samples: tuple[int, ...]) -> int:
            of_order = (input_bytes[order.model] if size is None else size) * len(samples)
            if order.board in tally.dc:
                tally.sent_bytes += of_order
            return of_order

        shell = VirtualTrial(core, policy, boards, sent, tally, costs=Costs())

        def requests(start: Ns) -> Iterator[Request]:
            return stream_requests(workload, study.task, data.samples, seed, start=start)

        begun, ended = shell.run(requests, known_events(virtual), from_s(study.limit_s))
        busy = sum(sum(boards[board].busy.values()) for board in tally.dc)
        return tally.row(
            cell=cell,
            policy=name,
            ours=contender.ours,
            seed=seed,
            drawn_from=data.tasks[study.task].drawn_from,
            dc_busy_frac=busy / max(ended - begun, 1) / max(len(tally.dc), 1),
            loads=sum(board.residency.loads for board in boards.values()),
            cancelled={
                k.removeprefix("cancelled_"): v for k, v in core.counters.items() if "cancelled_" in k
            },
        )

    def workload(self, cell: Cell) -> Workload:
        """The cell's arrivals and needs."""
        base = self.study.workload
        needs = sorted(base.needs, key=lambda need: -(need.min_accuracy or 0.0))[: cell.levels]
        arrivals = msgspec.structs.replace(base.arrivals, rate_hz=cell.load * self._capacity)
        deadline = base.deadline_ms if cell.deadline_ms is None else cell.deadline_ms
        return msgspec.structs.replace(base, needs=tuple(needs), arrivals=arrivals, deadline_ms=deadline)

    def _draw(self, seed: int | None) -> _Draw:
        """The samples of a seed, ``None`` for those shipped; a few are kept, since seeds come round again."""
        found = self._draws.get(seed)
        if found is None:
            data = self._shipped if seed is None else redrawn(self._shipped, seed)
            declared = self._declared
            known = with_known_accuracies(declared.profiles, data)
            virtual = VirtualLab(declared.lab, known, declared.links)
            found = _Draw(data, virtual, calibrated(self._campaign, self._lab, data))
            while len(self._draws) >= DRAWS_KEPT:
                del self._draws[next(iter(self._draws))]
            self._draws[seed] = found
        return found

    def _wire(self, cell: Cell, seed: int) -> Wire | None:
        """The cell's way to the data centre; a recording is taken up where the seed says."""
        if cell.uplink is None:
            return None
        if not isinstance(cell.uplink, str):
            return Constant(cell.uplink * 1e6 / 8)
        recorded = self._traces[cell.uplink]
        return Later(recorded, int(np.random.default_rng([seed, 0x52]).integers(recorded.period)))

    def summary(self, rows: list[GridRow]) -> dict[str, float]:
        """Headline figures of the rows."""
        study = self.study
        found = figures(rows, study.operating, study.subject)
        if study.crossover is not None:
            found |= crossover_figures(rows, study.operating, study.crossover, study.radios)
        return found


def _campaign(study: GridStudy, folder: Path) -> Campaign:
    """What calibration reads of a campaign."""
    return Campaign(
        name=study.name,
        question=study.question,
        lab=folder / study.lab,
        task=study.task,
        policies=(),
        workload=study.workload,
        seed=study.seed,
        blocks=1,
        calibration=study.calibration,
        measure=Measure(),
        options={},
        tasks={study.task: None},
        folder=folder,
        text="",
    )


def _capacity(virtual: VirtualLab) -> float:
    """Requests per second that the data centre alone could serve, one at a time."""
    total = 0.0
    for board, (table, _) in virtual.lab.boards.items():
        if table.site == "dc":
            profiles = [virtual.profiles.rows[board, model] for model in table.models]
            best = max(profiles, key=lambda profile: profile.accuracy[-1].value)
            total += 1.0 / to_s(best.service_at())
    if total == 0.0:
        raise ConfigError("a grid needs a data centre", file=virtual.lab.file, key="boards", cure="Add one")
    return total
