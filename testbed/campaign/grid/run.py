"""Plays a grid's trials side by side, a process a core, and keeps each as it ends."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.campaign.grid.crossover import crossovers
from testbed.campaign.grid.gain import gains
from testbed.campaign.grid.study import KIND, Grid, GridStudy, read_grid
from testbed.campaign.grid.tally import GridRow
from testbed.errors import StoreError
from testbed.resources import root
from testbed.store.study import STUDY_FILE, Study, write_study

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from testbed.campaign.grid.cells import Cell
    from testbed.campaign.progress import Progress

TRIALS_FILE = "trials.jsonl"
LOOK_S = 0.5

_grid: Grid | None = None


def run_grid(folder: Path, out: Path, *, seed: int | None, progress: Progress) -> Path:
    """Play what is not in ``out`` yet, then write the study.

    Every trial is appended to ``trials.jsonl`` as it ends, so that a run that was killed goes on where it stopped when
    it is given the same folder again.

    Raises:
        ConfigError: the file, the lab or a profile is wrong. StoreError: the folder cannot be written, holds a study
        already, or trials of another one.
    """
    study = read_grid(folder, seed=seed)
    if (out / STUDY_FILE).exists():
        raise StoreError(
            "holds a study already", file=out / STUDY_FILE, cure="Give another folder with --out"
        )
    grid = Grid(study, folder)
    rows = play_all(grid, folder, out / TRIALS_FILE, progress)
    found: list[dict[str, Any]] = [{"what": "trial", **msgspec.to_builtins(row)} for row in rows]
    for name in [name for name, contender in study.policies.items() if contender.ours]:
        found += [
            {"what": "gain", "subject": name, **msgspec.to_builtins(gain)} for gain in gains(rows, name)
        ]
    if study.crossover is not None:
        found += [
            {"what": "crossover", **msgspec.to_builtins(row)} for row in crossovers(rows, study.crossover)
        ]
    write_study(
        out,
        Study(
            kind=KIND,
            name=study.name,
            question=study.question,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seed=study.seed,
            spec=msgspec.to_builtins(study),
            models={},
            rows=found,
            figures=grid.summary(rows),
        ),
        source=root(),
    )
    return out


def play_all(grid: Grid, folder: Path, journal: Path, progress: Progress) -> list[GridRow]:
    """All rows in the grid's order; those that ``journal`` holds are taken from there.

    Raises:
        StoreError: it cannot be written, or is of another study.
    """
    plan = grid.plan()
    done = _kept(grid.study, journal)
    missing = [trial for trial in plan if trial not in done]
    progress.start("trials in virtual time", len(missing))
    context = multiprocessing.get_context("spawn")
    workers = min(len(missing), len(os.sched_getaffinity(0)))
    if missing:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with (
            journal.open("ab") as out,
            ProcessPoolExecutor(
                workers, mp_context=context, initializer=_prepare, initargs=(grid.study, folder)
            ) as pool,
        ):
            if journal.stat().st_size == 0:
                _append(out, msgspec.to_builtins(grid.study))
            pending: dict[Future[GridRow], tuple[Cell, int, str]] = {
                pool.submit(_play, *trial): trial for trial in missing
            }
            try:
                while pending:
                    ended, _ = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
                    for future in ended:
                        row = done[pending.pop(future)] = future.result()
                        _append(out, row)
                        progress.advance()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    progress.done()
    return [done[trial] for trial in plan]


def _append(out: Any, entry: Any) -> None:  # noqa: ANN401 - a file, and whatever msgspec encodes
    out.write(msgspec.json.encode(entry) + b"\n")
    out.flush()
    os.fsync(out.fileno())


def _kept(study: GridStudy, journal: Path) -> dict[tuple[Cell, int, str], GridRow]:
    """Trials that an earlier run has finished; a torn last line is played again."""
    if not journal.exists():
        return {}
    first, *lines = journal.read_bytes().split(b"\n")
    if first and msgspec.json.decode(first) != msgspec.json.decode(msgspec.json.encode(study)):
        raise StoreError("holds trials of another study", file=journal, cure="Give another folder with --out")
    found = {}
    good = len(first) + 1
    for line in lines[:-1]:
        row = msgspec.json.decode(line, type=GridRow)
        found[row.cell, row.seed, row.policy] = row
        good += len(line) + 1
    with journal.open("r+b") as file:
        file.truncate(min(good, journal.stat().st_size))
    return found


def _prepare(study: GridStudy, folder: Path) -> None:
    """In each process: read everything once; an interrupt is the front door's to handle."""
    global _grid
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _grid = Grid(study, folder)


def _play(cell: Cell, seed: int, name: str) -> GridRow:
    assert _grid is not None
    return _grid.play(cell, seed, name)
