"""Hardware profiles side by side: what they share, which models are worth choosing, and what may not be compared.

Energies that are metered differently (a chip's supply, a board's input, the wall) are never set against each other:
every ratio and every front over more than one set of profiles is withheld then, with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from testbed.model.origin import Origin, weakest
from testbed.units import to_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.model.profile import HwProfile


class Subject(Struct, frozen=True, kw_only=True):
    """One set of profiles.

    Attributes:
        metered: ``kind: what``, each once; empty where no profile has a power.
        origins: of everything shown here, weakest first by model.
    """

    name: str
    models: int
    kinds: tuple[str, ...]
    metered: tuple[str, ...]
    origins: tuple[str, ...]
    idle_w: float | None


class Point(Struct, frozen=True, kw_only=True):
    """One model of one subject at its last exit, one item at a time.

    Attributes:
        ms, p99_ms: service time; accuracy: fraction.
        energy_mj: of one inference, gross, or ``None``; net_mj: the same above the power at rest.
        kind: what is metered, or an empty string. origin: the weakest behind these figures.
        on_front: no other model of this subject with an energy is at least as good in all three, better in one;
            ``None`` without an energy.
    """

    subject: str
    model: str
    task: str
    metric: str
    accuracy: float
    ms: float
    p99_ms: float
    energy_mj: float | None
    kind: str
    origin: str
    net_mj: float | None = None
    on_front: bool | None = None


class BatchRow(Struct, frozen=True, kw_only=True):
    """One batch size: service time of the batch, energy of one item in it."""

    subject: str
    model: str
    batch: int
    ms: float
    energy_mj: float | None
    kind: str


class PairRow(Struct, frozen=True, kw_only=True):
    """One model on two subjects; ratios are second over first.

    Attributes:
        energy_ratio: ``None`` with ``reason`` where the energies are metered differently or one is lacking.
        accuracy_points: second minus first, in percentage points; ``None`` where the metrics differ.
    """

    model: str
    first: Point
    second: Point
    ms_ratio: float
    energy_ratio: float | None
    accuracy_points: float | None
    reason: str = ""


class ProfileComparison(Struct, frozen=True, kw_only=True):
    """Everything that tables, plots and JSON show.

    Attributes:
        pairs: models that the first two subjects share. batches: models with more than one batch size.
        joint_front: subject and model of what is worth choosing over all subjects, by task;
            empty with ``warnings`` where subjects are metered differently.
    """

    subjects: tuple[Subject, ...]
    points: tuple[Point, ...]
    batches: tuple[BatchRow, ...]
    pairs: tuple[PairRow, ...]
    joint_front: dict[str, tuple[tuple[str, str], ...]]
    warnings: tuple[str, ...]


def compare_profiles(sets: Mapping[str, Sequence[HwProfile]]) -> ProfileComparison:
    """Set profiles side by side.

    Args:
        sets: profiles by name of the subject, at least one each.
    """
    subjects = tuple(_subject(name, profiles) for name, profiles in sets.items())
    points: list[Point] = []
    for name, profiles in sets.items():
        mine = [point_of(name, profile) for profile in profiles]
        points += with_front(mine)
    kinds = {kind for subject in subjects for kind in subject.kinds}
    warnings = _warnings(subjects, points)
    tasks = sorted({(point.task, point.metric) for point in points})
    joint = {}
    if len(sets) > 1 and len(kinds) == 1:
        for task, metric in tasks:
            of = [p for p in points if (p.task, p.metric) == (task, metric)]
            if len({p.subject for p in of}) > 1:
                joint[task] = tuple((p.subject, p.model) for p in with_front(of) if p.on_front)
    return ProfileComparison(
        subjects=subjects,
        points=tuple(points),
        batches=tuple(_batches(sets)),
        pairs=tuple(_pairs(points, [subject.name for subject in subjects[:2]])),
        joint_front=joint,
        warnings=tuple(warnings),
    )


def point_of(subject: str, profile: HwProfile) -> Point:
    """A profile as a point: last exit, batch of one."""
    energy, net = profile.energy_at(), profile.energy_at(net=True)
    last = profile.exits - 1
    row = next(row for row in profile.service if (row.exit, row.batch) == (last, 1))
    origins = [row.origin, profile.accuracy[-1].origin]
    return Point(
        subject=subject,
        model=profile.model,
        task=profile.task,
        metric=profile.accuracy_metric,
        accuracy=profile.accuracy[-1].value,
        ms=to_ms(profile.service_at()),
        p99_ms=to_ms(profile.service_at(q=0.99)),
        energy_mj=None if energy is None else energy.value,
        net_mj=None if net is None else net.value,
        kind="" if profile.metered is None else profile.metered.kind,
        origin=weakest([*origins, energy.origin] if energy is not None else origins).value,
    )


def with_front(points: Iterable[Point]) -> list[Point]:
    """The points, each told whether it is on the front of accuracy, service time and energy of its task."""
    points = list(points)

    def key(point: Point) -> tuple[float, float, float]:
        return (-point.accuracy, point.ms, point.energy_mj if point.energy_mj is not None else float("inf"))

    told = []
    for point in points:
        mine = key(point)
        rivals = (
            key(other)
            for other in points
            if other.energy_mj is not None and (other.task, other.metric) == (point.task, point.metric)
        )
        beaten = any(
            rival != mine and all(r <= m for r, m in zip(rival, mine, strict=True)) for rival in rivals
        )
        on_front = None if point.energy_mj is None else not beaten
        told.append(msgspec.structs.replace(point, on_front=on_front))
    return told


def _subject(name: str, profiles: Sequence[HwProfile]) -> Subject:
    metered = [profile.metered for profile in profiles if profile.metered is not None]
    idles = [profile.idle_w.value for profile in profiles if profile.idle_w is not None]
    origins = {Origin(point_of(name, profile).origin) for profile in profiles}
    return Subject(
        name=name,
        models=len(profiles),
        kinds=tuple(sorted({m.kind for m in metered})),
        metered=tuple(sorted({f"{m.kind}: {m.what}" for m in metered})),
        origins=tuple(origin.value for origin in Origin if origin in origins),
        idle_w=max(idles, default=None),
    )


def _warnings(subjects: Sequence[Subject], points: Sequence[Point]) -> list[str]:
    found = []
    if len({kind for subject in subjects for kind in subject.kinds}) > 1:
        said = "; ".join(
            f"{subject.name}: {', '.join(subject.metered) or 'no power'}" for subject in subjects
        )
        found.append(f"Power and energy are metered differently, so no energy is set against another: {said}")
    elif len({what for subject in subjects for what in subject.metered}) > 1:
        said = "; ".join(
            f"{subject.name}: {', '.join(subject.metered)}" for subject in subjects if subject.metered
        )
        found.append(f"Metered alike in kind, but look at what exactly before comparing energies: {said}")
    lacking = [subject.name for subject in subjects if not subject.kinds]
    if lacking:
        found.append(f"No power or energy, or nobody says what was metered: {', '.join(lacking)}")
    guessed = [subject.name for subject in subjects if Origin.ASSUMED.value in subject.origins]
    if guessed:
        found.append(f"Some figures are assumed, nobody measured them: {', '.join(guessed)}")
    tasks = [{point.task for point in points if point.subject == subject.name} for subject in subjects]
    if len(tasks) > 1 and not set.intersection(*tasks):
        found.append("No task is common to all: accuracies are of different test sets")
    return found


def _batches(sets: Mapping[str, Sequence[HwProfile]]) -> Iterable[BatchRow]:
    for name, profiles in sets.items():
        for profile in profiles:
            rows = [row for row in profile.service if row.exit == profile.exits - 1]
            if len(rows) < 2:
                continue
            for row in rows:
                energy = profile.energy_at(row.batch)
                yield BatchRow(
                    subject=name,
                    model=profile.model,
                    batch=row.batch,
                    ms=to_ms(row.quantile(0.5)),
                    energy_mj=None if energy is None else energy.value,
                    kind="" if profile.metered is None else profile.metered.kind,
                )


def _pairs(points: Sequence[Point], names: Sequence[str]) -> Iterable[PairRow]:
    """Models that two subjects share; the only ones they have, if each has but one."""
    if len(names) < 2:
        return
    first, second = ({p.model: p for p in points if p.subject == name} for name in names)
    shared = [(first[model], second[model]) for model in first if model in second]
    if not shared and len(first) == len(second) == 1:
        shared = [(next(iter(first.values())), next(iter(second.values())))]
    for a, b in shared:
        ratio, reason = None, ""
        if a.energy_mj is None or b.energy_mj is None:
            reason = f"no energy of {a.subject if a.energy_mj is None else b.subject}"
        elif a.kind != b.kind:
            reason = f"metered differently: {a.subject} {a.kind}, {b.subject} {b.kind}"
        else:
            ratio = b.energy_mj / a.energy_mj
        alike = (a.task, a.metric) == (b.task, b.metric)
        yield PairRow(
            model=a.model if a.model == b.model else f"{a.model} and {b.model}",
            first=a,
            second=b,
            ms_ratio=b.ms / a.ms,
            energy_ratio=ratio,
            accuracy_points=(b.accuracy - a.accuracy) * 100 if alike else None,
            reason=reason,
        )
