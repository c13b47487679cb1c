"""What is to be measured, and in which order: blocks of every cell, in rounds, each round shuffled anew.

A drift of the board (warming up, a neighbour that wakes) then hits all cells alike instead of the last one.

Source: randomised blocks, Montgomery, Design and Analysis of Experiments, 8th ed., chapter 4.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.errors import ConfigError
from testbed.model.ids import BoardId, ModelId

if TYPE_CHECKING:
    from collections.abc import Iterable


class Cell(Struct, frozen=True, kw_only=True, order=True):
    """One way of executing the model; fields as in `testbed.model.profile.Concurrent`."""

    exit: int
    batch: int
    instances: int = 1
    beside: ModelId = ""

    @property
    def alone(self) -> bool:
        """Nothing else executes meanwhile."""
        return self.instances == 1 and not self.beside

    def __str__(self) -> str:
        """For a person."""
        more = f", {self.instances} at a time" if self.instances > 1 else ""
        return f"exit {self.exit}, batch {self.batch}{more}" + (
            f", beside {self.beside}" if self.beside else ""
        )


class Plan(Struct, frozen=True, kw_only=True):
    """What a person asks of a profile; kept in the journal, since only the same plan can be gone on with.

    Attributes:
        batches: ascending, 1 among them. instances: ascending, 1 among them. beside: a second model, or empty.
        repeats: executions per cell; ``None`` repeats until the intervals are narrow enough.
        p99: the interval of the p99 must be narrow enough too, and not only that of the p50.
        ci_frac: how wide an interval may be, relative to its quantile.
        budget_s: time for repeating the timed executions; the rest of a profile takes what it takes.
        energy_s: shortest time of repeated work behind an energy; 0 leaves energies out.
        accuracy_s: time for executing the calibration set; if it would take longer, stored predictions are audited.
        loads: how often the model is loaded anew to time it.
        seed: of the order of blocks and of the samples audited.
    """

    board: BoardId
    model: ModelId
    batches: tuple[int, ...] = (1,)
    instances: tuple[int, ...] = (1,)
    beside: ModelId = ""
    repeats: int | None = None
    p99: bool = False
    ci_frac: float = 0.05
    budget_s: float = 120.0
    energy_s: float = 10.0
    accuracy_s: float = 60.0
    loads: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what makes no profile.

        Raises:
            ConfigError: batches or instances without 1, not ascending, or a limit that is none.
        """
        for name, given in (("--batch", self.batches), ("--instances", self.instances)):
            if given[:1] != (1,) or list(given) != sorted(set(given)):
                listed = ",".join(map(str, sorted({1, *given})))
                raise ConfigError("must begin with 1 and ascend", key=name, cure=f"Give {listed}")
        if not 0 < self.ci_frac < 1:
            raise ConfigError(
                "an interval's width is a share of its quantile", key="--ci-frac", cure="Give 0.05"
            )
        times = {"--budget-s": self.budget_s, "--energy-s": self.energy_s, "--accuracy-s": self.accuracy_s}
        for name, seconds in times.items():
            if not 0 <= seconds < math.inf:
                raise ConfigError(
                    f"{seconds:g} is no length of time", key=name, cure="Give seconds from 0 on"
                )
        if self.beside == self.model:
            raise ConfigError(
                "a model beside itself is an instance",
                key="--beside",
                cure=f"Give --instances 1,2 for {self.model}",
            )

    def cells(self, exits: int) -> tuple[Cell, ...]:
        """Every cell, ordered: alone at each exit and batch; at the last exit also together with others."""
        alone = [Cell(exit=exit_, batch=batch) for exit_ in range(exits) for batch in self.batches]
        last = exits - 1
        more = [
            Cell(exit=last, batch=batch, instances=count)
            for batch in self.batches
            for count in self.instances[1:]
        ]
        if self.beside:
            more += [Cell(exit=last, batch=batch, beside=self.beside) for batch in self.batches]
        return tuple(sorted([*alone, *more]))


def shuffled(cells: Iterable[Cell], seed: int, turn: int) -> list[Cell]:
    """The order of one round, the same for the same seed and round."""
    order = sorted(cells)
    random.Random(f"profile/{seed}/{turn}").shuffle(order)
    return order
