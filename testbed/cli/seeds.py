"""One experiment in virtual time with several seeds, side by side: a process a core, a run folder a seed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from testbed.cli.door import Ended, Exit
from testbed.errors import ConfigError, TestbedError
from testbed.report.seeds import Figures

if TYPE_CHECKING:
    from concurrent.futures import Future

    from testbed.cli.terminal import Terminal

MOST = 1000
LOOK_S = 0.2
"""How often the bar is drawn, and the longest wait for anything."""

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
    """What became of it; ``trouble`` says why there is nothing else."""

    seed: int
    document: dict[str, Any] = {}
    figures: Figures = {}
    code: int = 0
    trouble: str = ""


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
        TestbedError: one of them could not be played; the others are stopped.
        Ended: a run missed a limit, or does not count.
        KeyboardInterrupt: stopped; each run folder says how far it came.
    """
    from testbed.campaign.spec import read_campaign
    from testbed.report.console import draw
    from testbed.report.seeds import combine, seeds_table, seeds_to_json

    campaign = read_campaign(folder, lab=lab)
    numbers = list(range(seed, seed + seeds))
    asked = [Asked(experiment=folder, lab=lab, after=after, out=out / f"seed-{n}", seed=n) for n in numbers]
    total = campaign.workload.requests * campaign.blocks * len(campaign.policies) * seeds
    played = {one.seed: one for one in _side_by_side(terminal, asked, total)}
    combined = combine([played[n].figures for n in numbers])
    terminal.show(*draw(seeds_table(combined, numbers)))
    terminal.note(f"runs: {out}")
    if terminal.json:
        terminal.emit(seeds_to_json({n: played[n].document for n in numbers}, combined))
    worst = max(played[n].code for n in numbers)
    if worst != Exit.PASS:
        raise Ended(Exit(worst))


def _side_by_side(terminal: Terminal, asked: list[Asked], total: int) -> list[Played]:
    """Play all, as many at a time as there are cores; the first trouble ends the rest."""
    context = multiprocessing.get_context("spawn")
    stop, done = context.Event(), context.Value("q", 0)
    workers = min(len(asked), len(os.sched_getaffinity(0)))
    terminal.start(f"{len(asked)} seeds in virtual time, {workers} at a time", total)
    shown = 0
    found: list[Played] = []
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_prepare, initargs=(stop, done)
    ) as pool:
        pending: set[Future[Played]] = {pool.submit(_play, one) for one in asked}
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
    from testbed.cli.pages import reported
    from testbed.report.seeds import figures_of

    try:
        made = run_in_virtual_time(
            asked.experiment,
            after=asked.after,
            lab=asked.lab,
            out=asked.out,
            seed=asked.seed,
            progress=_Count(),
        )
        analysis, document, code = reported(made)
    except KeyboardInterrupt:
        return Played(seed=asked.seed, trouble="stopped")
    except TestbedError as error:
        return Played(seed=asked.seed, trouble=str(error))
    return Played(seed=asked.seed, document=document, figures=figures_of(analysis), code=int(code))
