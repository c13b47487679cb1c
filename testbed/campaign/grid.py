"""Policies over the cells of a grid, in virtual time: where one is better than the others, and where it is not.

A cell is a round trip to the data centre, a load and a number of accuracy targets. Every policy of a cell and seed
sees the same arrivals and inputs. The operating point is the cell that a question is asked about; it is played with
all seeds, the other cells with the first.

``load`` is the arrival rate over what the data centre alone could serve with its most accurate model; ``levels`` takes
so many of the workload's needs, the highest targets first.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from testbed.campaign.data import Data
from testbed.campaign.declared import declared_lab
from testbed.campaign.gain import figures
from testbed.campaign.policies import calibrated, make_policy
from testbed.campaign.spec import Calibration, Campaign, Measure
from testbed.campaign.tally import GridRow, Tally
from testbed.campaign.virtual import known_events, modelled_boards
from testbed.coordinator.boards import board_setups
from testbed.coordinator.core import Core
from testbed.coordinator.labfile import read_lab, read_toml
from testbed.coordinator.simulate import Costs, VirtualTrial
from testbed.errors import ConfigError
from testbed.model.lab import parse_options
from testbed.units import from_ms, from_s, to_s
from testbed.workload.mix import Workload, stream_requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.campaign.virtual import VirtualLab
    from testbed.model.request import Request
    from testbed.policy.thresholds import ThresholdTable
    from testbed.units import Ns

KIND = "grid"
FILE = "campaign.toml"


class Cell(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One point of the grid."""

    rtt_ms: float
    load: float
    levels: int


class Factors(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Levels of each factor; the grid is their product."""

    rtt_ms: tuple[float, ...] = ()
    load: tuple[float, ...] = ()
    levels: tuple[int, ...] = ()


class Contender(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy with options, under a name of its own. ``ours`` is no baseline."""

    policy: str
    ours: bool = False
    options: dict[str, Any] = {}


class GridStudy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The campaign file of a grid.

    Attributes:
        subject: the contender whose gain over the best baseline is the headline.
        seeds: of the operating point. limit_s: bound on the time after the last arrival.
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
    seed: int = 1
    seeds: int = 5
    limit_s: float = 30.0
    factors: Factors = Factors()
    calibration: Calibration = Calibration()


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
        "operating.levels": not 1 <= study.operating.levels <= most,
        "factors.levels": any(not 1 <= n <= most for n in study.factors.levels),
        "workload.needs": any(need.min_accuracy is None for need in study.workload.needs),
        "policies": all(contender.ours for contender in study.policies.values()),
    }
    for key, bad in wrong.items():
        if bad:
            cure = "The subject is one of ours, others are baselines; every need has a target; levels count needs"
            raise ConfigError("cannot be", file=file, key=key, cure=cure)
    return study if seed is None else msgspec.structs.replace(study, seed=seed)


class Grid:
    """Everything the trials share: lab, data and thresholds, read once."""

    def __init__(self, study: GridStudy, folder: Path) -> None:
        """Read lab, profiles and answers, and calibrate.

        Raises:
            ConfigError: something is missing or wrong.
        """
        self.study = study
        lab = read_lab((folder / study.lab).resolve())
        self._data = Data({study.task: None})
        self._virtual = declared_lab(lab)
        self._thresholds: ThresholdTable | None = calibrated(_campaign(study, folder), lab, self._data)
        self._capacity = _capacity(self._virtual)

    def plan(self) -> list[tuple[Cell, int, str]]:
        """Cells, seeds and contenders in the order they are played; the operating point first."""
        study = self.study
        point = study.operating
        cells = [
            Cell(rtt_ms=rtt, load=load, levels=levels)
            for rtt, load, levels in itertools.product(
                study.factors.rtt_ms or (point.rtt_ms,),
                study.factors.load or (point.load,),
                study.factors.levels or (point.levels,),
            )
        ]
        seeds = [(point, study.seed + i) for i in range(study.seeds)]
        others = [(cell, study.seed) for cell in cells if cell != point]
        return [(cell, seed, name) for cell, seed in [*seeds, *others] for name in study.policies]

    def play(self, cell: Cell, seed: int, name: str) -> GridRow:
        """One trial.

        Raises:
            ConfigError, PolicyError: the policy cannot be made, or broke its contract.
        """
        study, data = self.study, self._data
        contender = study.policies[name]
        virtual = self._virtual.with_rtt("dc", from_ms(cell.rtt_ms))
        policy = make_policy(
            contender.policy,
            contender.options,
            virtual.lab,
            virtual.profiles,
            self._thresholds,
            seed,
            data.truth,
        )
        core = Core(policy, board_setups(virtual.lab, {}), virtual.profiles, data.payload_bytes, data.truth)
        workload = self.workload(cell)
        tally = Tally({board for board, (table, _) in virtual.lab.boards.items() if table.site == "dc"})
        boards = modelled_boards(virtual, data, seed)
        input_bytes = {model: data.of(model).input_bytes for model in data.models}
        shell = VirtualTrial(
            core,
            policy,
            boards,
            lambda order, samples: input_bytes[order.model] * len(samples),
            tally,
            costs=Costs(),
        )

        def requests(start: Ns) -> Iterator[Request]:
            return stream_requests(workload, study.task, data.samples, seed, start=start)

        begun, ended = shell.run(requests, known_events(virtual), from_s(study.limit_s))
        busy = sum(sum(boards[board].busy.values()) for board in tally.dc)
        return tally.row(
            cell=(cell.rtt_ms, cell.load, cell.levels),
            policy=name,
            ours=contender.ours,
            seed=seed,
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
        return msgspec.structs.replace(base, needs=tuple(needs), arrivals=arrivals)

    def summary(self, rows: list[GridRow]) -> dict[str, float]:
        """Headline figures of the rows."""
        point = self.study.operating
        return figures(rows, (point.rtt_ms, point.load, point.levels), self.study.subject)


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
