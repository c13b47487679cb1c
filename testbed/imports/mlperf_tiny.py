"""Turns a submission to MLPerf Tiny into hwprofiles and power traces.

Source: results repositories ``mlcommons/tiny_results_v*``; what the benchmarks are: Banbury et al., "MLPerf Tiny
Benchmark", NeurIPS 2021 Datasets and Benchmarks.
"""

from __future__ import annotations

import hashlib
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from testbed.campaign.progress import Progress, Silent
from testbed.errors import ConfigError
from testbed.imports.submission import LICENCE, Found, Submission, describe, left_out, place, six, slug
from testbed.imports.tiny_results import TinyResults, read_results
from testbed.imports.tiny_traces import (
    EnergySamples,
    find_cut,
    gap_level_w,
    gap_median_w,
    power_trace,
    read_trace1,
    read_trace2,
)
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, InferenceEnergy, Metered, Provenance, Quantity, Service
from testbed.store.traces import KeptTrace

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = "MLPerf Tiny"
TASKS = {
    "ic": "image-classification/cifar10",
    "kws": "keyword-spotting/speech-commands",
    "vww": "visual-wake-words/coco",
    "ad": "anomaly-detection/toyadmos",
}
STREAMING = "sww"
MODES = {
    "performance": "performance",
    "accuracy": "accuracy",
    "energy": "energy",
    "power": "energy",
    "enegy": "energy",  # so spelt in a submission to v1.0
}
OFF_LIMIT = 2.0
"""A printed energy further than so many samples from its trace is reported."""

MCU_SUPPLY = Metered(kind="chip", what="supply of the microcontroller only (ST LPM01A)")
BOARD_INPUT = Metered(kind="board", what="input of the whole board (Joulescope)")
USUAL = {
    "nucleo": MCU_SUPPLY,
    "pynq": BOARD_INPUT,
    "arty": BOARD_INPUT,
}
"""What is metered on boards of which it is known; the results themselves do not tell."""


class Benchmark(Struct, frozen=True, kw_only=True):
    """One benchmark of one system and the folders of its modes."""

    submission: Submission
    benchmark: str
    model: str
    modes: dict[str, Path]

    @property
    def name(self) -> str:
        """Name that its profile goes by."""
        return slug(f"{self.benchmark}-{self.model}") if self.model else self.benchmark

    @property
    def path(self) -> str:
        """Where it stands in the public repository, without its mode."""
        of = self.submission
        parts = (of.division, of.submitter, "results", of.system, self.benchmark, self.model)
        return "/".join(part for part in parts if part)


def import_tiny(
    folder: Path,
    *,
    version: str = "",
    submitter: str = "",
    metered: Metered | None = None,
    traces: bool = True,
    progress: Progress | None = None,
) -> Found:
    """Read every benchmark below a folder.

    Args:
        folder: of a round, a submitter or a system, as in the public repository.
        version, submitter: where the path does not tell.
        metered: what was metered, where it is not known of the board. traces: also read the energy traces.

    Raises:
        ConfigError: no result below it, or results of whom nobody knows.
    """
    progress = progress or Silent()
    found = list(benchmarks(folder, version=version, submitter=submitter))
    if not found:
        raise ConfigError(
            "no results of MLPerf Tiny below this folder",
            file=folder,
            cure="Give the folder of a submission: <system>/<ic|kws|vww|ad>/performance/results.txt",
        )
    profiles: list[HwProfile] = []
    read: dict[str, KeptTrace] = {}
    notes: list[str] = []
    skipped: list[str] = []
    progress.start(f"{len(found)} benchmarks", len(found))
    for one in found:
        where = f"{one.submission.version}/{one.path}"
        try:
            profile, more, said = profile_of(one, metered=metered, traces=traces)
        except ConfigError as error:
            skipped.append(left_out(where, error))
        else:
            profiles.append(profile)
            read |= {f"{where}/{name}": trace for name, trace in more.items()}
            notes += [f"{where}: {text}" for text in said]
        progress.advance()
    progress.done()
    return Found(profiles=tuple(profiles), traces=read, notes=tuple(notes), skipped=tuple(skipped))


def benchmarks(folder: Path, *, version: str = "", submitter: str = "") -> Iterator[Benchmark]:
    """Every benchmark below a folder, by path.

    Raises:
        ConfigError: whose result it is, neither its path nor an argument tells.
    """
    groups: dict[tuple[Submission, str, str], dict[str, Path]] = {}
    for file in sorted(folder.resolve().rglob("*results.txt")):
        mode = MODES.get(file.parent.name)
        known = [i for i, part in enumerate(file.parts) if part in TASKS or part == STREAMING]
        if mode is None or not known:
            continue
        submission, rest = place(file, suite=SUITE, version=version, submitter=submitter)
        at = max(i for i, part in enumerate(rest) if part in TASKS or part == STREAMING)
        system = msgspec.structs.replace(submission, system="/".join(rest[:at]))
        groups.setdefault((system, rest[at], "/".join(rest[at + 1 : -2])), {})[mode] = file
    for (system, benchmark, model), modes in groups.items():
        yield Benchmark(submission=system, benchmark=benchmark, model=model, modes=modes)


def profile_of(
    one: Benchmark, *, board: str = "", metered: Metered | None = None, traces: bool = True
) -> tuple[HwProfile, dict[str, KeptTrace], list[str]]:
    """The profile of one benchmark, its traces by name, and what a reader should know.

    Args:
        board: name of the profile folder; default made of version, submitter and system.

    Raises:
        ConfigError: it has no throughput or no accuracy, or is no benchmark of single inferences.
    """
    if one.benchmark == STREAMING:
        raise ConfigError("a streaming task: its figures are per 20-minute run, not per inference")
    results = {mode: read_results(file) for mode, file in one.modes.items()}
    told, notes = _description(one)
    notes += [f"{mode}{why}" for mode, result in results.items() if (why := _too_short(result))]
    notes += [
        f"{one.modes[mode].parent.name}/{one.modes[mode].name} is not whole: {'; '.join(result.torn)}"
        for mode, result in results.items()
        if result.torn
    ]
    service = _service(one, results.get("performance"))
    accuracy, metric = _accuracy(one, results.get("accuracy"))
    profile = {
        "schema": 1,
        "board": board or one.submission.slug,
        "model": one.name,
        "task": TASKS[one.benchmark],
        "service": (service,),
        "accuracy": (accuracy,),
        "accuracy_metric": metric,
        "provenance": _provenance(one, told),
    }
    read: dict[str, KeptTrace] = {}
    metered = metered or next((m for k, m in USUAL.items() if k in one.submission.system.lower()), None)
    energy = results.get("energy")
    if energy is not None and not energy.energies:
        notes.append("energy mode without a printed energy; no energies")
    elif energy is not None:
        samples = _samples(one) if traces else []
        if metered is None:
            notes.append("energy left out, since nobody says what was metered: give --metered")
        else:
            fields, said = _energy(one, energy, samples, metered)
            profile |= fields
            notes += said
        mode, rail = one.modes["energy"].parent.name, metered.what if metered is not None else "not said"
        for k, trace in enumerate(samples):
            name = mode if len(samples) == 1 else f"{mode}-{k}"
            read[name] = KeptTrace(
                trace=power_trace(trace, board=one.submission.slug, rail=rail, meter=one.submission.citation),
                windows=tuple((round(start * 1e9), round(end * 1e9)) for start, end in trace.windows),
                zero="first sample of the runner's trace",
            )
    return HwProfile(**profile), read, notes  # type: ignore[arg-type]


def _service(one: Benchmark, results: TinyResults | None) -> Service:
    if results is None or not results.median_per_s:
        raise ConfigError("no median throughput printed")
    return Service(
        batch=1,
        exit=0,
        p=(0.5,),
        ms=(six(1e3 / results.median_per_s),),
        origin=Origin.DERIVED,
        source=f"{_said(one, 'performance')}: 1 over the median throughput of {len(results.rates)} windows, "
        f"{results.median_per_s:g} inferences/s; a mean of inferences back to back, their spread is not published"
        + _too_short(results),
        n=sum(window.inferences for window in results.rates),
    )


def _accuracy(one: Benchmark, results: TinyResults | None) -> tuple[Quantity, str]:
    metric = "AUC" if one.benchmark == "ad" else "top-1"
    value = None if results is None else results.auc if metric == "AUC" else results.top1_percent
    if value is None:
        raise ConfigError("no accuracy printed")
    fraction = value if metric == "AUC" else value / 100
    source = f"{_said(one, 'accuracy')}: {metric} as printed, on the benchmark's test set"
    return Quantity(value=six(fraction), origin=Origin.CITED, source=source), metric


def _energy(
    one: Benchmark, results: TinyResults, samples: list[EnergySamples], metered: Metered
) -> tuple[dict[str, object], list[str]]:
    """The fields of power and energy, and findings."""
    powers = [window.power_uw for window in results.energies if window.power_uw > 0]
    if results.median_uj is None or not powers:
        lacking = "their power" if not powers else "the runner's median"
        return {}, [f"energies without {lacking}; left out"]
    said = _said(one, "energy")
    notes = _unlike_trace(results, samples)
    busy_w = statistics.median(powers) * 1e-6
    each_mj = results.median_uj * 1e-3
    each_ms = each_mj / busy_w
    count = len(results.energies)
    rows = [
        InferenceEnergy(
            batch=1,
            value=six(each_mj),
            origin=Origin.CITED,
            source=f"{said}: median of {count} windows as printed; energy mode, where an inference takes "
            f"{each_ms:.4g} ms{_too_short(results)}",
            metered=metered,
            n=sum(window.inferences for window in results.rates),
        )
    ]
    fields: dict[str, object] = {
        "active_w": Quantity(
            value=six(busy_w),
            origin=Origin.DERIVED,
            source=f"{said}: median of the {len(powers)} mean powers printed",
            metered=metered,
        )
    }
    level, median = gap_level_w(samples), gap_median_w(samples)
    draws = level if level is not None else median
    if draws is not None and draws >= busy_w:
        notes.append(
            f"between the windows it draws {draws * 1e3:.4g} mW, more than the {busy_w * 1e3:.4g} mW while it works: "
            "no idle power, no net energy"
        )
    elif level is not None:
        source = (
            f"{said}: level between the windows of the published trace; the board waits, it does not sleep"
        )
        fields["idle_w"] = Quantity(value=six(level), origin=Origin.DERIVED, source=source, metered=metered)
        rows.append(
            InferenceEnergy(
                batch=1,
                value=six(each_mj - level * each_ms),
                origin=Origin.DERIVED,
                source=f"{said}: printed median less the level between the windows over {each_ms:.4g} ms",
                metered=metered,
                net=True,
            )
        )
    return {**fields, "energy_mj": tuple(rows)}, notes


def _too_short(results: TinyResults) -> str:
    """What the runner said of its windows, to stand behind a figure; empty where it was content."""
    short = sum(window.short for window in results.rates)
    return (
        f"; the runner found {short} of {len(results.rates)} windows too short to be valid" if short else ""
    )


def _unlike_trace(results: TinyResults, samples: list[EnergySamples]) -> list[str]:
    """Where the printed energies are not those of the trace."""
    windows = [(trace, k) for trace in samples for k in range(len(trace.windows))]
    notes = (
        ["a window of the trace has a start and no end"] if any(trace.unclosed for trace in samples) else []
    )
    if not windows:
        return notes
    if len(windows) != len(results.energies):
        return [*notes, f"{len(results.energies)} energies printed, {len(windows)} windows in the trace"]
    cuts = [find_cut(t, k, printed) for (t, k), printed in zip(windows, results.energies, strict=True)]
    worst = max(cut.samples_off for cut in cuts)
    if worst > OFF_LIMIT:
        notes.append(f"printed energies are up to {worst:.3g} samples off the trace")
    return notes


def _samples(one: Benchmark) -> list[EnergySamples]:
    folder = one.modes["energy"].parent
    if (folder / "trace1-energy.bin").is_file():
        return [read_trace1(folder / "trace1-energy.bin", folder / "trace1-timestamps.json")]
    if (folder / "results.json").is_file():
        return read_trace2(folder / "results.json")
    return []


def _description(one: Benchmark) -> tuple[dict[str, str], list[str]]:
    """The system's own description: ``systems/*.json`` of the submitter, wherever above the results."""
    for above in next(iter(one.modes.values())).parents:
        if (above / "systems").is_dir():
            told, wrong = describe(sorted((above / "systems").glob("*.json")), one.submission.system)
            return told, [wrong] if wrong else []
    return {}, ["no description of the system beside the results"]


def _provenance(one: Benchmark, told: dict[str, str]) -> Provenance:
    def some(*names: str) -> dict[str, str]:
        return {name: told[name] for name in names if name in told}

    return Provenance(
        run=f"{one.submission.version}/{one.path}",
        board=some("Board Name", "SoC Name", "Processor(s) Name", "Accelerator", "Hardware Notes"),
        clocks=some("Processor(s) Frequencies", "Accelerator(s) Frequencies"),
        versions=some(
            "Inference Framework", "ML Model Compiler(s)", "General Compiler(s)", "Operating System"
        ),
        hashes={
            f"{file.parent.name}/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest()
            for _, file in sorted(one.modes.items())
        },
        citation=one.submission.citation,
        licence=LICENCE,
    )


def _said(one: Benchmark, mode: str) -> str:
    file = one.modes[mode]
    return f"{one.submission.citation}, {one.path}/{file.parent.name}/{file.name}"
