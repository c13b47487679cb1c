"""Turns a submission to MLPerf Inference with power into hwprofiles and power traces.

Source: results repositories ``mlcommons/inference_results_v*``:
``<division>/<submitter>/results/<system>/<model>/<scenario>/{performance/{run_1,power},accuracy}``.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from testbed.campaign.progress import Progress, Silent
from testbed.errors import ConfigError
from testbed.imports.listing import Listing
from testbed.imports.loadgen import DETAILS, LoadgenRun, read_run
from testbed.imports.power_log import (
    MAINS_V,
    PowerLog,
    level_after,
    power_trace,
    read_meter,
    read_spl,
    window_power,
)
from testbed.imports.power_run import RUN, PowerRun, idle_of, profile_from, task_of
from testbed.imports.submission import LICENCE, Found, Submission, describe, left_out, place
from testbed.model.profile import HwProfile, Metered, Provenance
from testbed.store.traces import KeptTrace

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "MLPerf Inference"
WALL = Metered(kind="wall", what="mains input of the whole system, its power supply included")
INPUT = Metered(kind="board", what="direct-current input of the whole system")
_GOOD = re.compile(r"accuracy=([\d.]+)%(?:, good=(\d+), total=(\d+))?")
_MAP = re.compile(r"mAP=([\d.]+)%")
_F1 = re.compile(r'"f1":\s*([\d.]+)')
LONG_GAP_S = 5.0


class Read(Struct, frozen=True, kw_only=True):
    """One run, its trace over time from ``power_begin`` on, its provenance and findings."""

    run: PowerRun
    trace: KeptTrace
    provenance: Provenance
    notes: tuple[str, ...]


def import_power(
    folder: Path, *, version: str = "", submitter: str = "", progress: Progress | None = None
) -> Found:
    """Read every run with power below a folder.

    Args:
        folder: of a round, a submitter or a system, as in the public repository.
        version, submitter: where neither the path nor a table beside it (`testbed.imports.listing`) tells.

    Raises:
        ConfigError: no run with power below it, runs of whom nobody knows, or of another than is said.
    """
    progress = progress or Silent()
    folders = sorted(file.parent for file in folder.resolve().rglob("run_1/spl.txt"))
    if not folders:
        raise ConfigError(
            "no run with power below this folder",
            file=folder,
            cure="Give the folder of a submission: <system>/<model>/<scenario>/performance/run_1/spl.txt",
        )
    progress.start(f"{len(folders)} runs", len(folders))
    reads: list[Read] = []
    skipped: list[str] = []
    listing = Listing(folder)
    for one in folders:
        submission, model, scenario = _place(one, listing, version=version, submitter=submitter)
        try:
            reads.append(read_power_run(one, submission, model, scenario))
        except ConfigError as error:
            skipped.append(left_out(f"{submission.version}/{_path(submission, model, scenario)}", error))
        progress.advance()
    progress.done()
    profiles, more = _profiles(reads)
    return Found(
        profiles=tuple(profiles),
        traces={f"{r.run.submission.version}/{r.run.path}": r.trace for r in reads},
        notes=tuple(f"{r.run.submission.version}/{r.run.path}: {note}" for r in reads for note in r.notes),
        skipped=(*skipped, *more),
    )


def read_power_run(folder: Path, submission: Submission, model: str, scenario: str) -> Read:
    """One run from its folder ``run_1``.

    Args:
        scenario: name of the folder it stands in, part of its path.

    Raises:
        ConfigError: a log is missing or wrong, or no power sample lies in the window.
    """
    path = _path(submission, model, scenario)
    logged, log = read_run(folder), read_spl(folder / "spl.txt")
    power = window_power(log, logged.begin, logged.end)
    metered = WALL if log.volts is None or log.volts > MAINS_V else INPUT
    meter, meter_accuracy = read_meter(folder.parent / "power" / "ptd_logs.txt")
    accuracy, samples = read_accuracy(folder.parents[1] / "accuracy" / "accuracy.txt")
    known = dict(zip(logged.p, logged.ms, strict=True))
    inner = tuple(p for p in logged.p if 0 < p < 1)
    run = PowerRun(
        submission=submission,
        model=model,
        scenario=logged.scenario,
        path=path,
        p=inner,
        ms=tuple(known[p] for p in inner),
        mean_ms=logged.mean_ms,
        extremes_ms=(known[0.0], known[1.0]) if {0.0, 1.0} <= known.keys() else None,
        queries=logged.counted,
        mean_w=power.mean_w,
        window_s=logged.window_s,
        n_power=power.n,
        metered=metered,
        after_w=level_after(log, logged.end),
        accuracy=accuracy,
        samples=samples,
    )
    return Read(
        run=run,
        trace=KeptTrace(
            trace=power_trace(
                log,
                logged.begin,
                board=submission.slug,
                rail=metered.what,
                meter=meter or submission.citation,
            ),
            windows=((0, logged.end - logged.begin),),
            zero="power_begin of LoadGen's detail log",
        ),
        provenance=_provenance(folder, submission, path, meter, meter_accuracy),
        notes=tuple(_findings(logged, log, run, power.faults, power.gap_s)),
    )


def read_accuracy(file: Path) -> tuple[float | None, int]:
    """The accuracy printed [fraction] and the samples behind it; ``None`` for a metric that is not known here."""
    if not file.is_file():
        return None, 0
    text = file.read_text("utf-8", errors="replace")
    if good := _GOOD.search(text):
        return float(good[1]) / 100, int(good[3] or 0)
    for pattern in (_MAP, _F1):
        if found := pattern.search(text):
            return float(found[1]) / 100, 0
    return None, 0


def _findings(logged: LoadgenRun, log: PowerLog, run: PowerRun, faults: int, gap_s: float) -> list[str]:
    """What a reader of the figures should know."""
    found = []
    finite = np.isfinite(log.power_w)
    kinds = {"of 0 W or less": finite & (log.power_w <= 0), "that are no finite number": ~finite}
    if bad := [f"{n} samples {kind}" for kind, them in kinds.items() if (n := int(them.sum()))]:
        found.append(f"{' and '.join(bad)} are faults of the meter, {faults} of them in the timed window")
    if gap_s > LONG_GAP_S:
        found.append(f"{gap_s:.1f} s of the timed window without a power sample")
    if not logged.valid:
        found.append("LoadGen did not call the run VALID")
    if logged.queries is None and run.scenario in RUN:
        found.append(f"the log counts no queries: printed rate times window, {run.queries}")
    if run.after_w is not None and run.after_w >= run.mean_w:
        found.append(
            f"after the run it draws {run.after_w:.4g} W, no less than the {run.mean_w:.4g} W at work: no idle power"
        )
    return found


def _profiles(reads: list[Read]) -> tuple[list[HwProfile], list[str]]:
    """One profile per system and model, and why some have none."""
    profiles: list[HwProfile] = []
    skipped: list[str] = []
    systems: dict[Submission, list[Read]] = {}
    for read in reads:
        systems.setdefault(read.run.submission, []).append(read)
    for submission, of in systems.items():
        idle = idle_of([read.run for read in of])
        for model in sorted({read.run.model for read in of}):
            # A run under another scenario's name was inferred by the submitter from the same logs; the last one counts.
            mine = sorted((read for read in of if read.run.model == model), key=lambda read: _own(read.run))
            runs = [read.run for read in mine]
            chosen = next((r for r in reversed(mine) if r.run.scenario == "SingleStream"), mine[0])
            try:
                task_of(model)
                profile = profile_from(runs, board=submission.slug, idle=idle, provenance=chosen.provenance)
            except ConfigError as error:
                skipped.append(left_out(f"{submission.version}/{_path(submission, model, '')}", error))
                continue
            profiles.append(profile)
            skipped += [
                f"{submission.version}/{run.path}: throughput of unknown batches, no time of a single inference"
                for run in runs
                if run.scenario not in RUN
            ]
            skipped += [
                f"{submission.version}/{run.path}: its logs are of {run.scenario}"
                for run in runs
                if run.scenario in RUN and not _own(run)
            ]
    return profiles, skipped


def _own(run: PowerRun) -> bool:
    """Whether a run stands under the scenario that its logs are of."""
    return run.path.rpartition("/")[2].lower() == run.scenario.lower()


def _place(folder: Path, listing: Listing, *, version: str, submitter: str) -> tuple[Submission, str, str]:
    listed = None
    if "results" not in folder.parts:  # a copy without the submitters' folders
        listed = listing.find(folder)
        if submitter:
            listing.check(folder, submitter)
        elif listed is not None:
            submitter = listed.submitter
    submission, rest = place(folder, suite=SUITE, version=version, submitter=submitter)
    if listed is not None:
        submission = msgspec.structs.replace(submission, division=submission.division or listed.division)
    if len(rest) < 5:
        raise ConfigError(
            "not <system>/<model>/<scenario>/performance/run_1",
            file=folder,
            cure="Keep the repository's layout",
        )
    system, model, scenario = "/".join(rest[:-4]), rest[-4], rest[-3]
    return msgspec.structs.replace(submission, system=system), model, scenario


def _path(submission: Submission, model: str, scenario: str) -> str:
    parts = (submission.division, submission.submitter, "results", submission.system, model, scenario)
    return "/".join(part for part in parts if part)


def _provenance(
    folder: Path, submission: Submission, path: str, meter: str, meter_accuracy: str
) -> Provenance:
    told: dict[str, str] = {}
    for above in folder.parents:
        if (above / "systems").is_dir():
            told, _ = describe(sorted((above / "systems").glob("*.json")), submission.system)
            break

    def some(*names: str) -> dict[str, str]:
        return {name: told[name] for name in names if name in told}

    logs = [*DETAILS, "mlperf_log_summary.txt", "spl.txt"]
    return Provenance(
        run=f"{submission.version}/{path}",
        board=some("system_name", "host_processor_model_name", "accelerator_model_name", "hw_notes"),
        clocks=some("host_processor_frequency", "accelerator_frequency"),
        versions=some("framework", "operating_system", "other_software_stack", "sw_notes"),
        hashes={
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in logs
            if (folder / name).is_file()
        },
        meter=f"{meter}, about one sample per second" if meter else "",
        meter_accuracy=meter_accuracy,
        citation=submission.citation,
        licence=LICENCE,
    )
