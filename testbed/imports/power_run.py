"""One published run with power, and the hwprofile that the runs of one model on one system add up to."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.errors import ConfigError
from testbed.imports.submission import Submission, six
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, InferenceEnergy, Metered, Provenance, Quantity, Service

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGENET = ("image-classification/imagenet-2012", "top-1")
TASKS = {
    "resnet50": IMAGENET,
    "mobilenet": IMAGENET,
    "efficientnet": IMAGENET,
    "ssd-": ("object-detection/coco-2017", "mAP"),
    "retinanet": ("object-detection/openimages", "mAP"),
    "bert": ("question-answering/squad-1.1", "F1"),
    "rnnt": ("speech-recognition/librispeech", "1-WER"),
}
"""Task and metric by how a model's name begins.

Source: MLPerf Inference rules, benchmarks of the closed division; the open division's classifiers are judged likewise.
"""
RUN = {"SingleStream": 1, "MultiStream": 8}
"""Scenarios whose queries have a time of their own, and the samples of one query."""


class PowerRun(Struct, frozen=True, kw_only=True):
    """What one run says.

    Attributes:
        path: where it stands in the public repository.
        scenario: as really run. queries: in the timed window.
        p, ms: quantiles of the time of one query [ms], as printed, without the extremes; mean_ms: their mean.
        extremes_ms: shortest and longest, or ``None``.
        mean_w: mean power in the window; window_s: its length; n_power: samples behind it.
        after_w: level after the run, or ``None``.
        accuracy: fraction, or ``None``; samples: of the test set behind it, 0 where nobody says.
    """

    submission: Submission
    model: str
    scenario: str
    path: str
    p: tuple[float, ...]
    ms: tuple[float, ...]
    mean_ms: float | None
    queries: int | None
    mean_w: float
    window_s: float
    n_power: int
    metered: Metered
    extremes_ms: tuple[float, float] | None = None
    after_w: float | None = None
    accuracy: float | None = None
    samples: int = 0

    @property
    def energy_mj(self) -> float | None:
        """Energy of one sample [mJ]: mean power times window over the samples in it."""
        if not self.queries or self.scenario not in RUN:
            return None
        return self.mean_w * self.window_s / (self.queries * RUN[self.scenario]) * 1e3

    @property
    def said(self) -> str:
        """The citation with the path."""
        return f"{self.submission.citation}, {self.path}"


def task_of(model: str) -> tuple[str, str]:
    """Task and metric of a model.

    Raises:
        ConfigError: its name does not tell.
    """
    for begin, of in TASKS.items():
        if model.startswith(begin):
            return of
    raise ConfigError(f"nobody has told us the task of {model}")


def with_mean(
    p: tuple[float, ...], ms: tuple[float, ...], mean_ms: float | None
) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """Quantiles with a shortest time added such that their mean is the published one.

    Where only a median and upper quantiles are known, a board that draws from them is never faster than the median,
    and slower than published on average. The published extremes do not mend that: single outliers of some 100,000
    queries, which drawing linearly would weigh a thousand times too heavy. So the time at probability 0 is chosen
    to give the published mean, the quantiles being linear in between and flat above the last.

    Returns:
        probabilities, times, and whether one was added: not where 0 is there, nor where the mean asks for more than
        the lowest time known, nor for less than nothing.
    """
    if mean_ms is None or not p or p[0] <= 0:
        return p, ms, False
    upper = sum((b - a) * (x + y) / 2 for a, b, x, y in zip(p, p[1:], ms, ms[1:], strict=False))
    lowest = (mean_ms - upper - (1 - p[-1]) * ms[-1]) * 2 / p[0] - ms[0]
    if not 0 < lowest < ms[0]:
        return p, ms, False
    return (0.0, *p), (lowest, *ms), True


def idle_of(runs: Sequence[PowerRun]) -> Quantity | None:
    """Power at rest of one system: the median of the levels after its runs, ``None`` where no run shows one.

    A level that is not below the power at work is no rest, and is left out.
    """
    levels = [(run.after_w, run) for run in runs if run.after_w is not None and run.after_w < run.mean_w]
    if not levels:
        return None
    watts = [level for level, _ in levels]
    of = levels[0][1]
    return Quantity(
        value=six(statistics.median(watts)),
        origin=Origin.DERIVED,
        source=f"{of.submission.citation}: median of the levels 4 s after the timed window of {len(watts)} runs, "
        f"{min(watts):.4g} to {max(watts):.4g} W",
        sigma=six(statistics.stdev(watts)) if len(watts) > 1 else None,
        metered=of.metered,
    )


def profile_from(
    runs: Sequence[PowerRun], *, board: str, idle: Quantity | None, provenance: Provenance, model: str = ""
) -> HwProfile:
    """The profile of one model on one system.

    Args:
        runs: of this model; SingleStream is needed, MultiStream adds batches of 8, others are not used.
        idle: of the system.

    Raises:
        ConfigError: no SingleStream run, no accuracy, or a task that is not known.
    """
    by = {run.scenario: run for run in runs}
    single = by.get("SingleStream")
    if single is None or not single.p:
        raise ConfigError("no SingleStream run, so nobody timed a single inference")
    task, metric = task_of(single.model)
    if single.accuracy is None:
        raise ConfigError("no accuracy of a kind we know")
    services, energies = [], []
    for scenario, batch in RUN.items():
        run = by.get(scenario)
        if run is None or not run.p:
            continue
        services.append(service_of(run, batch))
        if run.energy_mj is not None:
            energies += energies_of(run, batch, idle)
    return HwProfile(
        schema=1,
        board=board,
        model=model or single.model,
        task=task,
        service=tuple(services),
        accuracy=(accuracy_of(single, metric),),
        accuracy_metric=metric,
        active_w=active_of(single),
        idle_w=idle,
        energy_mj=tuple(energies),
        provenance=provenance,
    )


def service_of(run: PowerRun, batch: int) -> Service:
    """Service times of one query."""
    p, ms, added = with_mean(run.p, run.ms, run.mean_ms)
    how = (
        f"; the time at p = 0 is chosen so that the mean is the printed {run.mean_ms:.6g} ms" if added else ""
    )
    if run.extremes_ms is not None:
        how += f"; extremes {run.extremes_ms[0]:.4g} and {run.extremes_ms[1]:.4g} ms"
    return Service(
        batch=batch,
        exit=0,
        p=p,
        ms=tuple(six(value) for value in ms),
        origin=Origin.DERIVED if added else Origin.CITED,
        source=f"{run.said}: quantiles printed by LoadGen, {run.scenario}, time of a query of {batch}{how}",
        n=run.queries or 0,
    )


def active_of(run: PowerRun) -> Quantity:
    """Power while it works."""
    return Quantity(
        value=six(run.mean_w),
        origin=Origin.DERIVED,
        source=f"{run.said}: mean of the {run.n_power} samples with power_begin < t < power_end and watts > 0",
        metered=run.metered,
    )


def accuracy_of(run: PowerRun, metric: str) -> Quantity:
    """Accuracy, with its binomial uncertainty where the number of samples is known.

    Raises:
        ConfigError: the run has none.
    """
    if run.accuracy is None:
        raise ConfigError("no accuracy of a kind we know")
    share = run.accuracy
    return Quantity(
        value=six(share),
        origin=Origin.CITED,
        source=f"{run.said}: {metric} as printed",
        sigma=six((share * (1 - share) / run.samples) ** 0.5) if run.samples else None,
    )


def energies_of(run: PowerRun, batch: int, idle: Quantity | None) -> list[InferenceEnergy]:
    """Energy of one sample, gross, and net where the power at rest is known and lower."""
    each = run.energy_mj
    if each is None:
        return []
    told = {"batch": batch, "origin": Origin.DERIVED, "metered": run.metered, "n": (run.queries or 0) * batch}
    what = f"{run.said}: mean power times window over {(run.queries or 0) * batch} samples"
    rows = [InferenceEnergy(value=six(each), source=what, **told)]  # type: ignore[arg-type]
    if idle is not None and idle.value < run.mean_w:
        net = each * (1 - idle.value / run.mean_w)
        rows.append(
            InferenceEnergy(value=six(net), source=f"{what}, less the power at rest", net=True, **told)  # type: ignore[arg-type]
        )
    return rows
