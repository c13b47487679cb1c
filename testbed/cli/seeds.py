"""One experiment in virtual time with several seeds, side by side: a process a core, a run folder a seed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from testbed.cli.door import Ended, Exit
from testbed.errors import ConfigError, StoreError, TestbedError
from testbed.report.seeds import Figures

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from testbed.cli.terminal import Terminal

MOST = 1000
SEED = "seed-"
"""Run folders of seeds are called by this and the number."""
LOOK_S = 0.2
"""How often the bar is drawn, and the longest wait for anything."""

One = TypeVar("One")

_stop: Any = None
_done: Any = None


class Asked(Struct, frozen=True, kw_only=True):
    """What one process is to play."""

    experiment: Path
    lab: Path | None
    after: Path
    out: Path
    seed: int


class Played(Struct, frozen=True, kw_only=True):
    """What became of a seed; ``trouble`` says why there is nothing else.

    Attributes:
        unwritten: why its pages could not be written.
    """

    seed: int
    document: dict[str, Any] = {}
    figures: Figures = {}
    code: int = 0
    unwritten: str = ""
    trouble: str = ""


class Kept(Struct, frozen=True, kw_only=True):
    """A seed that was played before, in its run folder."""

    seed: int
    folder: Path


def refuse_seeds(*, virtual_time: bool, seeds: int) -> None:
    """Live runs take boards for real time and cannot run side by side.

    Raises:
        ConfigError: not in virtual time, or too few or many.
    """
    if not virtual_time:
        raise ConfigError(
            "several seeds are for virtual time; live runs share boards",
            key="--seeds",
            cure="Add --virtual-time; for live replicates set blocks = N in the campaign",
        )
    if not 1 <= seeds <= MOST:
        raise ConfigError(f"must be 1 to {MOST}, not {seeds}", key="--seeds", cure="Give another number")


def run_seeds(
    terminal: Terminal, *, folder: Path, lab: Path | None, after: Path, out: Path, seed: int, seeds: int
) -> None:
    """Play ``seeds`` seeds from ``seed`` on into ``out/seed-N`` each, then show what they say together.

    Raises:
        StoreError: ``out`` is a run's own folder.
        TestbedError: one of them could not be played; the others are stopped.
        Ended: a run missed a limit, or does not count.
        KeyboardInterrupt: stopped; each run folder says how far it came.
    """
    from testbed.campaign.spec import read_campaign
    from testbed.cli.pages import HEADER_FILE

    if (out / HEADER_FILE).is_file():
        raise StoreError("is the folder of a single run", file=out, cure="Name another folder with --out")
    campaign = read_campaign(folder, lab=lab)
    numbers = range(seed, seed + seeds)
    asked = [Asked(experiment=folder, lab=lab, after=after, out=out / f"{SEED}{n}", seed=n) for n in numbers]
    total = campaign.workload.requests * campaign.blocks * len(campaign.policies) * seeds
    _tell(terminal, _side_by_side(terminal, "seeds in virtual time", _play, asked, total), out)


def seeds_in(folder: Path) -> list[Kept]:
    """The runs that `run_seeds` left in a folder, in order; none if it is the folder of something else."""
    from testbed.cli.pages import HEADER_FILE

    if (folder / HEADER_FILE).is_file():
        return []
    found = [file.parent for file in folder.glob(f"{SEED}*/{HEADER_FILE}")]
    numbers = {int(n): one for one in found if (n := one.name.removeprefix(SEED)).isdecimal()}
    return [Kept(seed=n, folder=numbers[n]) for n in sorted(numbers)]


def report_seeds(terminal: Terminal, folder: Path, kept: list[Kept]) -> None:
    """Show once more what `run_seeds` showed at its end, from its run folders.

    Raises:
        TestbedError: one of them cannot be read.
        Ended: a run missed a limit, or does not count.
    """
    _tell(terminal, _side_by_side(terminal, "seeds", _read, kept, len(kept)), folder)


def _tell(terminal: Terminal, found: list[Played], out: Path) -> None:
    """What the seeds say together, those apart that do not count."""
    from testbed.report.console import draw
    from testbed.report.seeds import combine, seeds_table, seeds_to_json

    found = sorted(found, key=lambda one: one.seed)
    whole = [one for one in found if one.code in (Exit.PASS, Exit.MISSED)]
    combined = combine([one.figures for one in whole])
    if whole:
        terminal.show(*draw(seeds_table(combined, [one.seed for one in whole])))
    for one in found:
        if one not in whole:
            terminal.note(f"seed {one.seed} is incomplete and left out: {out / f'{SEED}{one.seed}'}")
        if one.unwritten:
            terminal.note(one.unwritten)
    terminal.note(f"runs: {out}")
    if terminal.json:
        terminal.emit(seeds_to_json({one.seed: one.document for one in found}, combined))
    worst = max(one.code for one in found)
    if worst != Exit.PASS:
        raise Ended(Exit(worst))


def _side_by_side(
    terminal: Terminal, what: str, work: Callable[[One], Played], asked: list[One], total: int
) -> list[Played]:
    """Do the work for each, as many at a time as there are cores; the first trouble ends the rest."""
    context = multiprocessing.get_context("spawn")
    stop, done = context.Event(), context.Value("q", 0)
    workers = min(len(asked), len(os.sched_getaffinity(0)))
    terminal.start(f"{len(asked)} {what}, {workers} at a time", total)
    shown = 0
    found: list[Played] = []
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_prepare, initargs=(stop, done)
    ) as pool:
        pending: set[Future[Played]] = {pool.submit(work, one) for one in asked}
        try:
            while pending:
                finished, pending = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
                terminal.advance(done.value - shown)
                shown = done.value
                for future in finished:
                    one = future.result()
                    if one.trouble:
                        raise TestbedError(f"seed {one.seed}: {one.trouble}")
                    found.append(one)
        except BaseException:
            stop.set()  # each process ends at its next thousand records
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            terminal.done()
    return found


def _prepare(stop: Any, done: Any) -> None:  # noqa: ANN401 - multiprocessing's own
    """In each process: an interrupt is the front door's to handle, which tells by the event."""
    global _stop, _done
    _stop, _done = stop, done
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class _Count:
    """Progress of one process, added to the bar of all."""

    def start(self, label: str, total: int) -> None:
        """The bar is there already."""

    def advance(self, n: int = 1) -> None:
        """Add to it; the place where a process learns that it is to end."""
        with _done.get_lock():
            _done.value += n
        if _stop.is_set():
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        """Nobody reads the lines of eight processes."""

    def done(self) -> None:
        """The bar ends with all."""


def _play(asked: Asked) -> Played:
    """Play one seed and report it."""
    from testbed.campaign.virtual import run_in_virtual_time

    try:
        made = run_in_virtual_time(
            asked.experiment,
            after=asked.after,
            lab=asked.lab,
            out=asked.out,
            seed=asked.seed,
            progress=_Count(),
        )
        return _reported(asked.seed, made)
    except KeyboardInterrupt:
        return Played(seed=asked.seed, trouble="stopped")
    except TestbedError as error:
        return Played(seed=asked.seed, trouble=str(error))


def _read(kept: Kept) -> Played:
    """Report one seed that was played before."""
    try:
        found = _reported(kept.seed, kept.folder)
        _Count().advance()
    except KeyboardInterrupt:
        return Played(seed=kept.seed, trouble="stopped")
    except TestbedError as error:
        return Played(seed=kept.seed, trouble=str(error))
    return found


def _reported(seed: int, folder: Path) -> Played:
    from testbed.cli.pages import reported
    from testbed.report.seeds import figures_of

    analysis, document, code, unwritten = reported(folder)
    return Played(
        seed=seed, document=document, figures=figures_of(analysis), code=int(code), unwritten=unwritten
    )
