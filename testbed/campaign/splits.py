"""Is an accuracy promise kept? Thresholds from one half of the labelled data, tried on the other half, many times over.

Needs no lab: the answers are stored predictions. Every split draws the calibration samples anew from everything that
is labelled and was not trained on; the rest is what the promise is held against. A **miss** is a split whose one-sided
95 % upper bound of the test accuracy lies below the target, so that chance alone does not make one.

Next to it, not part of the promise: the same thresholds on a mix in which one class, the one the frontend is worst
at, comes more often than at calibration, with and without the drift guard of `testbed.policy.guard`.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from testbed.campaign.data import TaskData
from testbed.coordinator.labfile import read_toml
from testbed.errors import ConfigError, did_you_mean
from testbed.measure.stats import upper_share
from testbed.model.lab import parse_options
from testbed.model.ranges import Seed
from testbed.policy.confidence import Z, calibrate
from testbed.policy.guard import DriftGuard
from testbed.policy.metrics import Metric, confidences
from testbed.resources import root
from testbed.store.study import Study, write_study

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.campaign.progress import Progress
    from testbed.policy.thresholds import Threshold, ThresholdTable

KIND = "splits"
MISS_LEVEL = 0.95


class Shift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mixes other than that of calibration.

    Attributes:
        weights: how many times as often the frontend's worst class comes.
        stream: requests per split that the drift guard sees. shadow_frac: share of confident ones it checks.
    """

    weights: tuple[float, ...] = ()
    stream: int = 20_000
    shadow_frac: float = 0.02


class SplitStudy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The campaign file of such a study.

    Attributes:
        frontends, backend: models of the task. targets: accuracies promised.
        splits: how many. calibration: samples that thresholds are made from in each; the rest is the test.
        z: safety margins to compare, in standard errors; the last one is the headline's.
    """

    schema: int
    kind: str
    name: str
    task: str
    frontends: tuple[str, ...]
    backend: str
    targets: tuple[float, ...]
    question: str = ""
    seed: Seed = 1
    splits: int = 200
    calibration: int = 2000
    z: tuple[float, ...] = (0.0, Z, 2.33)
    metric: Metric = Metric.MAX_SOFTMAX
    shift: Shift = Shift()


class SplitRow(Struct, frozen=True, kw_only=True):
    """One frontend, target and margin over all splits.

    Attributes:
        weight: of the frontend's worst class in the test mix, 1 for the mix of calibration. guarded: with the guard.
        promised: splits in which the target was promised at all (with a margin). misses: of those.
        accuracy, offload_frac: means over the promised splits. raised: mean number of times the guard stepped in.
    """

    frontend: str
    target: float
    z: float
    weight: float
    guarded: bool
    promised: int
    misses: int
    accuracy: float | None
    offload_frac: float | None
    raised: float = 0.0


class _Answers(Struct, frozen=True):
    """What a frontend and the backend say of every sample, shape (n,) each; and the scores of all exits."""

    scores: list[NDArray[np.float32]]
    confidence: NDArray[np.float64]
    edge: NDArray[np.bool_]
    backend: NDArray[np.bool_]
    agrees: NDArray[np.bool_]


def read_split_study(folder: Path, *, seed: int | None = None) -> SplitStudy:
    """Read and check the file.

    Raises:
        ConfigError: names file, key and cure.
    """
    file = folder / "campaign.toml"
    _, raw = read_toml(file)
    study = parse_options(raw, SplitStudy, file=file, key="")
    for key, bad in {
        "targets": not study.targets or not all(0 < t <= 1 for t in study.targets),
        "splits": study.splits < 1,
        "z": not study.z,
        "calibration": study.calibration < 1,
    }.items():
        if bad:
            raise ConfigError(
                "out of range", file=file, key=key, cure="Targets in (0, 1], the others positive"
            )
    return study if seed is None else msgspec.structs.replace(study, seed=seed)


def run_splits(folder: Path, out: Path, *, seed: int | None, progress: Progress) -> Path:
    """Play the study and write its result.

    Raises:
        ConfigError: the file, a model or the number of samples is wrong. StoreError: the folder cannot be written.
    """
    study = read_split_study(folder, seed=seed)
    data = TaskData(study.task, None)
    rows = split_rows(study, data, progress)
    write_study(
        out,
        Study(
            kind=KIND,
            name=study.name,
            question=study.question,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seed=study.seed,
            spec=msgspec.to_builtins(study),
            models={m: list(data.models[m].sha256) for m in (*study.frontends, study.backend)},
            rows=[msgspec.to_builtins(row) for row in rows],
            figures=figures(study, rows),
        ),
        source=root(),
    )
    return out


def split_rows(study: SplitStudy, data: TaskData, progress: Progress) -> list[SplitRow]:
    """All rows, in the order frontend, target, margin, mix.

    Raises:
        ConfigError: a model the task has not, or too few samples.
    """
    for name in (*study.frontends, study.backend):
        if name not in data.models:
            raise ConfigError(f"no model {name!r}", key="frontends", cure=did_you_mean(name, data.models))
    labels = np.concatenate([data.calibration_labels(), data.labels])
    if study.calibration >= len(labels):
        raise ConfigError(
            f"{study.calibration} of {len(labels)} samples leave none for the test",
            key="calibration",
            cure="Take fewer",
        )
    backend = np.concatenate(
        [data.calibration_scores(study.backend)[-1], data.test_scores(study.backend)[-1]]
    )
    progress.start("splits", study.splits * len(study.frontends))
    tally: dict[tuple[str, float, float, float, bool], list[tuple[bool, float, float, int]]] = {}
    for frontend in study.frontends:
        both = zip(data.calibration_scores(frontend), data.test_scores(frontend), strict=True)
        answers = _answers([np.concatenate(pair) for pair in both], backend, labels, study.metric)
        for split in range(study.splits):
            rng = np.random.default_rng([study.seed, split])
            order = rng.permutation(len(labels))
            known, test = order[: study.calibration], order[study.calibration :]
            for z in study.z:
                table = calibrate(
                    study.task,
                    labels=labels[known],
                    frontends={frontend: [s[known] for s in answers.scores]},
                    backend=study.backend,
                    backend_scores=backend[known],
                    targets=study.targets,
                    z=z,
                    metric=study.metric,
                )
                for row in table.rows:
                    if row.margin:
                        for key, found in _try(study, row, table, answers, labels, test, rng, split).items():
                            tally.setdefault((frontend, row.target, z, *key), []).append(found)
            progress.advance()
    progress.done()
    return [_row(key, tally.get(key, [])) for key in _keys(study)]


def figures(study: SplitStudy, rows: list[SplitRow]) -> dict[str, float]:
    """Headline: the share of promises missed without shift, per margin; ``miss_frac`` is that of the last margin."""
    found: dict[str, float] = {}
    for z in study.z:
        plain = [r for r in rows if r.z == z and r.weight == 1.0 and not r.guarded and r.promised]
        if plain:
            found[f"miss_frac_z{z:g}"] = sum(r.misses for r in plain) / sum(r.promised for r in plain)
            found[f"miss_frac_worst_z{z:g}"] = max(r.misses / r.promised for r in plain)
    if f"miss_frac_z{study.z[-1]:g}" in found:
        found["miss_frac"] = found[f"miss_frac_z{study.z[-1]:g}"]
    return found


def _keys(study: SplitStudy) -> list[tuple[str, float, float, float, bool]]:
    mixes = [(1.0, False), *((w, guarded) for w in study.shift.weights for guarded in (False, True))]
    return [
        (frontend, target, z, *mix)
        for frontend in study.frontends
        for target in study.targets
        for z in study.z
        for mix in (mixes if z == study.z[-1] else mixes[:1])
    ]


def _answers(
    scores: list[NDArray[np.float32]], backend: NDArray[np.float32], labels: NDArray[np.int64], metric: Metric
) -> _Answers:
    last = scores[-1]
    return _Answers(
        scores,
        confidences(last, metric),
        last.argmax(axis=1) == labels,
        backend.argmax(axis=1) == labels,
        last.argmax(axis=1) == backend.argmax(axis=1),
    )


def _try(
    study: SplitStudy,
    row: Threshold,
    table: ThresholdTable,
    answers: _Answers,
    labels: NDArray[np.int64],
    test: NDArray[np.intp],
    rng: np.random.Generator,
    split: int,
) -> dict[tuple[float, bool], tuple[bool, float, float, int]]:
    """A threshold on the test half: missed, accuracy, offload and interventions, by mix and guard."""
    found = {(1.0, False): _outcome(row, answers, test, [(0, row)])}
    if row.z != study.z[-1]:
        return found
    error = [float((~answers.edge[test][labels[test] == c]).mean()) for c in range(int(labels.max()) + 1)]
    worst = int(np.argmax(error))
    for weight in study.shift.weights:
        p = np.where(labels[test] == worst, weight, 1.0)
        stream = rng.choice(test, size=study.shift.stream, p=p / p.sum())
        found[weight, False] = _outcome(row, answers, stream, [(0, row)])
        found[weight, True] = _outcome(
            row, answers, stream, _guarded(study, row, table, answers, stream, rng)
        )
    return found


def _outcome(
    row: Threshold, answers: _Answers, samples: NDArray[np.intp], regime: list[tuple[int, Threshold]]
) -> tuple[bool, float, float, int]:
    """What comes of samples in order under thresholds that each hold from a position on."""
    taus = np.full(len(samples), np.inf)
    for start, by in regime:
        taus[start:] = np.inf if by.tau is None else by.tau
    stands = answers.confidence[samples] >= taus
    right = np.where(stands, answers.edge[samples], answers.backend[samples])
    missed = upper_share(int(right.sum()), len(right), MISS_LEVEL) < row.target
    return missed, float(right.mean()), float(1.0 - stands.mean()), len(regime) - 1


def _guarded(
    study: SplitStudy,
    row: Threshold,
    table: ThresholdTable,
    answers: _Answers,
    stream: NDArray[np.intp],
    rng: np.random.Generator,
) -> list[tuple[int, Threshold]]:
    """When the guard raises the threshold; only shadows can make it."""
    guard = DriftGuard(table)
    regime = [(0, row)]
    for position in np.flatnonzero(rng.random(len(stream)) < study.shift.shadow_frac):
        by = regime[-1][1]
        sample = stream[position]
        if by.tau is None or answers.confidence[sample] < by.tau:
            continue
        if guard.saw(row, bool(answers.agrees[sample])):
            regime.append((int(position) + 1, guard.row(row)))
    return regime


def _row(key: tuple[str, float, float, float, bool], found: list[tuple[bool, float, float, int]]) -> SplitRow:
    frontend, target, z, weight, guarded = key
    columns: list[Any] = list(zip(*found, strict=True)) if found else []
    return SplitRow(
        frontend=frontend,
        target=target,
        z=z,
        weight=weight,
        guarded=guarded,
        promised=len(found),
        misses=sum(columns[0]) if found else 0,
        accuracy=float(np.mean(columns[1])) if found else None,
        offload_frac=float(np.mean(columns[2])) if found else None,
        raised=float(np.mean(columns[3])) if found else 0.0,
    )
