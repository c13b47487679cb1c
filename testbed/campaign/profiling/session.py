"""A profile from beginning to end: what is in the journal already is not measured again.

=========  ==========================================================================================
link       round trip and rate
load       unloaded and loaded again several times, one instance; then as many as will be needed
blocks     timed executions, cells in shuffled rounds, until precise or the budget is spent
energy     per exit and batch: rest, repeated work, rest
accuracy   the calibration set, exit by exit
=========  ==========================================================================================
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from testbed.campaign.profiling.accuracy import judge_exit
from testbed.campaign.profiling.assemble import blocks_of, kept
from testbed.campaign.profiling.condition import await_calm, cool_down, flags, temperatures
from testbed.campaign.profiling.energy import meter_cell
from testbed.campaign.profiling.identity import CLOCKS, POWER_MODE, identity_of, not_emulated
from testbed.campaign.profiling.journal import (
    SCHEMA,
    AccuracySeen,
    Begun,
    Block,
    EnergySeen,
    Finished,
    LinkSeen,
    LoadSeen,
    Remark,
)
from testbed.campaign.profiling.link import see_link
from testbed.campaign.profiling.plan import shuffled
from testbed.campaign.profiling.stopping import StopRule
from testbed.campaign.profiling.timed import LONGEST, run_block
from testbed.errors import ConfigError
from testbed.zoo.files import load_samples

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from testbed.campaign.profiling.bench import ProfileBench
    from testbed.campaign.profiling.journal import Journal
    from testbed.campaign.profiling.plan import Cell, Plan
    from testbed.campaign.progress import Progress

SCALE = 1000
"""Parts of the bar of timed blocks."""
AUDIT_BATCH = 8
RETRIES = 2
"""A window that a meter left too full of gaps is measured again so many times."""

_E = TypeVar("_E")


class Session:
    """Measures what a plan asks for, on an open board, into a journal."""

    def __init__(
        self,
        plan: Plan,
        bench: ProfileBench,
        journal: Journal,
        progress: Progress,
        settle: Callable[[], Awaitable[None]],
        *,
        lab_sha256: str,
    ) -> None:
        """Nothing is measured before `run`.

        Args:
            settle: called once the load has been shown, for instruments that fix their ranges then.
        """
        self._plan = plan
        self._bench = bench
        self._journal = journal
        self._progress = progress
        self._settle = settle
        self._lab_sha256 = lab_sha256
        self._cells = plan.cells(bench.exits)
        self._rule = StopRule(ci_frac=plan.ci_frac, p99=plan.p99, repeats=plan.repeats)

    async def run(self) -> dict[str, str]:
        """Measure what the journal does not have yet.

        Returns:
            the settings that held, by name.

        Raises:
            ConfigError: the journal was begun with something else. BoardError, LinkError: the board failed.
            StoreError: the journal cannot be written.
        """
        self._begin()
        held = await self._held()
        await self._link()
        await self._load()
        await self._blocks()
        await self._energies()
        await self._accuracy()
        if not any(isinstance(entry, Finished) for entry in self._journal.entries):
            asked = {
                "concurrency": any(not cell.alone for cell in self._cells),
                "settings": "settings_held" in self._bench.facts.facts,
            }
            beyond = not_emulated(self._bench.facts, (name for name, yes in asked.items() if yes))
            for text in (*flags(block.after for block in self._of(Block)), *beyond):
                self._journal.write(Remark(text=text))
            self._journal.write(Finished())
        return held

    @property
    def temperature_c(self) -> tuple[float, ...]:
        """Lowest and highest seen before and after blocks."""
        return temperatures(text for block in self._of(Block) for text in (block.before, block.after))

    def _begin(self) -> None:
        bench = self._bench
        now = Begun(
            schema=SCHEMA,
            plan=self._plan,
            lab_sha256=self._lab_sha256,
            model_sha256=bench.data.models[bench.model].sha256,
            board=identity_of(bench.facts),
            wall=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
        begun = self._journal.begun
        if begun is None:
            self._journal.write(now)
            return
        for name in ("plan", "lab_sha256", "model_sha256", "board"):
            if getattr(begun, name) != getattr(now, name):
                what = name.removesuffix("_sha256")
                raise ConfigError(
                    f"was begun with another {what}; what differs: {_difference(begun, now, name)}",
                    file=self._journal.file,
                    cure="Give the same arguments as at first, or remove the file and profile again",
                )

    async def _held(self) -> dict[str, str]:
        names = [str(name) for name in self._bench.facts.facts.get("settings") or ()]
        wanted = [name for name in names if name == POWER_MODE or name.startswith(CLOCKS)]
        told = {name: await self._bench.inventory.tell(self._bench.board, name) for name in wanted}
        return {name: value for name, value in told.items() if value}

    async def _link(self) -> None:
        if self._of(LinkSeen):
            return
        seen, remark = await see_link(self._bench)
        self._remark(remark)
        if seen is not None:
            self._journal.write(seen)

    async def _load(self) -> None:
        plan, inventory = self._plan, self._bench.inventory
        if not self._of(LoadSeen):
            self._progress.start("loads", plan.loads)
            first = inventory.loads.get((plan.board, plan.model))
            seen = []
            for _ in range(plan.loads):
                seen.append(await inventory.load(plan.board, plan.model, evict=(plan.model,)))
                self._progress.advance()
            self._progress.done()
            self._journal.write(
                LoadSeen(
                    ns=tuple(one.load for one in seen),
                    # The first one, when the board was opened, filled memory that nobody had freed before.
                    memory_bytes=tuple(one.memory_bytes for one in ([first, *seen] if first else seen)),
                    text=seen[-1].text if seen else "",
                )
            )
        if plan.instances[-1] > 1:
            await inventory.load(plan.board, plan.model, instances=plan.instances[-1])
        if plan.beside:
            # Its first instance would share the lane of the model itself: it executes in the lane behind.
            await inventory.load(plan.board, plan.beside, instances=2)

    async def _blocks(self) -> None:
        bench, plan = self._bench, self._plan
        start_c, remark = await await_calm(bench.condition)
        self._remark(remark)
        turn = max((len(blocks_of(self._journal.entries, cell)) for cell in self._cells), default=0)
        shown = 0
        self._progress.start("timed blocks", SCALE)
        while pending := self._pending():
            for cell in shuffled(pending, plan.seed, turn):
                if (
                    self._spent_s() >= plan.budget_s
                    and blocks_of(self._journal.entries, cell)
                    and plan.repeats is None
                ):
                    continue  # every cell has one block at least
                before, remark = await cool_down(bench.condition, start_c)
                self._remark(remark)
                cold = not blocks_of(self._journal.entries, cell)
                self._journal.write(
                    await run_block(bench, cell, cold=cold, most=self._most(cell), before=before)
                )
                done = round(SCALE * self._done_frac())
                self._progress.advance(max(done - shown, 0))
                shown = max(done, shown)
            turn += 1
        self._progress.done()

    def _pending(self) -> list[Cell]:
        """Cells that need more; none once the budget is spent and each has a block."""
        entries = self._journal.entries
        spent = self._plan.repeats is None and self._spent_s() >= self._plan.budget_s
        open_ = []
        for cell in self._cells:
            blocks = len(blocks_of(entries, cell))
            if blocks == 0 or (not spent and self._rule.stop(kept(entries, cell), blocks) is None):
                open_.append(cell)
        return open_

    def _most(self, cell: Cell) -> int:
        if self._plan.repeats is None:
            return LONGEST
        return min(self._plan.repeats - len(kept(self._journal.entries, cell)), LONGEST)

    def _spent_s(self) -> float:
        return sum(block.wall_s for block in self._of(Block))

    def _done_frac(self) -> float:
        entries = self._journal.entries
        parts = [self._rule.done_frac(kept(entries, c), len(blocks_of(entries, c))) for c in self._cells]
        spent = (
            self._spent_s() / self._plan.budget_s
            if self._plan.repeats is None and self._plan.budget_s
            else 0.0
        )
        return min(max(sum(parts) / len(parts), spent), 1.0)

    async def _energies(self) -> None:
        if not self._plan.energy_s:
            return
        known = {entry.cell for entry in self._of(EnergySeen)}
        todo = [
            cell for cell in shuffled(self._cells, self._plan.seed, -1) if cell.alone and cell not in known
        ]
        if not todo:
            return
        self._progress.start("energy", len(todo))
        # Instruments that range by themselves see the load once, and stay at that range.
        await run_block(self._bench, max(todo), cold=False)
        await self._settle()
        for cell in todo:
            told = await meter_cell(self._bench, cell, self._plan.energy_s)
            for _ in range(RETRIES):
                if told.net_j is not None or not told.meter:
                    break
                told = await meter_cell(self._bench, cell, self._plan.energy_s)
            self._journal.write(told)
            self._progress.advance()
        self._progress.done()

    async def _accuracy(self) -> None:
        bench, plan = self._bench, self._plan
        known = {entry.exit for entry in self._of(AccuracySeen)}
        todo = [exit_ for exit_ in range(bench.exits) if exit_ not in known]
        if not todo:
            return
        task = bench.data.of(plan.model)
        given = load_samples(task.catalog, "calibration")
        images = given.images.reshape(-1, *task.catalog.input.shape)
        stored = task.calibration_scores(plan.model)
        self._progress.start("calibration set", len(todo) * len(images))
        for exit_ in todo:
            self._journal.write(
                await judge_exit(
                    lambda payload, exit_=exit_: bench.answer(payload, exit_),  # type: ignore[misc]
                    images,
                    given.labels.astype("int64"),
                    stored[exit_],
                    exit_=exit_,
                    classes=len(task.catalog.classes),
                    limit_s=plan.accuracy_s / bench.exits,
                    batch=AUDIT_BATCH,
                    seed=plan.seed,
                    on_items=self._progress.advance,
                )
            )
        self._progress.done()

    def _remark(self, text: str) -> None:
        if text and Remark(text=text) not in self._journal.entries:
            self._journal.write(Remark(text=text))

    def _of(self, kind: type[_E]) -> list[_E]:
        return [entry for entry in self._journal.entries if isinstance(entry, kind)]


def _difference(begun: Begun, now: Begun, name: str) -> str:
    """What differs, in a few words."""
    was, is_ = (msgspec.to_builtins(getattr(one, name)) for one in (begun, now))
    if not isinstance(was, dict):
        if name == "lab_sha256":
            return "a board's or a meter's table in the lab file, or --power-mode"
        return "its files"
    return ", ".join(
        f"{key} {was.get(key)} then, {is_.get(key)} now" for key in is_ if was.get(key) != is_.get(key)
    )
