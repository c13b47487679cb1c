"""Many models on one board in one file: ``hwprofiles/<board>/ladder.toml``.

A sweep measures a hundred models in the same way, so what is said of one figure holds for its whole column. A ladder
says it once, and gives one line to each model (a rung). `profiles_of` turns it into ordinary profiles, so nobody who
reads profiles need know of it.

History of ``schema``: 1, the first.
"""

from __future__ import annotations

import math
import tomllib
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.errors import ConfigError
from testbed.model.ids import ModelId, TaskId
from testbed.model.lab import parse_options
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, InferenceEnergy, Metered, Provenance, Quantity, Service
from testbed.store.profile_checks import check_profile
from testbed.store.profile_writer import document

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
FILE = "ladder.toml"


class Column(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Origin of a column, and how its figures were obtained."""

    origin: Origin
    how: str


class Columns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of each column; ``lowest``: of service times to which a shortest one was added."""

    service: Column
    lowest: Column
    accuracy: Column
    active_w: Column
    energy_mj: Column


class Rung(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model, one at a time.

    Attributes:
        ms: service times at the ladder's ``p`` [ms]; lowest_ms: the same at 0, where one was added.
        accuracy: fraction. active_w: mean power at work [W]. energy_mj: of one inference, gross [mJ].
        n: inferences behind it.
    """

    model: ModelId
    ms: tuple[float, ...]
    accuracy: float
    active_w: float
    energy_mj: float
    n: int
    lowest_ms: float | None = None


class Ladder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file.

    Attributes:
        board: name of its folder.
        citation: begins every source. path: where a model stands at the source, ``{model}`` for its name.
        p: probabilities of the rungs' times. accuracy_samples: size of the test set.
        rungs: by accuracy, then name. idle_w: of the board.
    """

    schema: int
    board: str
    task: TaskId
    citation: str
    path: str
    p: tuple[float, ...]
    accuracy_samples: int
    metered: Metered
    columns: Columns
    rungs: tuple[Rung, ...]
    accuracy_metric: str = "top-1"
    idle_w: Quantity | None = None
    provenance: Provenance | None = None


def load_ladder(file: Path) -> Ladder:
    """Read a ladder.

    Raises:
        ConfigError: unreadable, unknown or missing key, unknown schema, or a board that is not the folder's.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("cannot read the ladder", file=file, cure="Check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not TOML: {error}", file=file, cure="Correct the syntax") from error
    ladder = parse_options(table, Ladder, file=file, key="")
    if ladder.schema != SCHEMA:
        raise ConfigError(
            f"schema {ladder.schema} is not known",
            file=file,
            key="schema",
            cure=f"This release reads {SCHEMA}",
        )
    if ladder.board != file.parent.name:
        raise ConfigError(
            f"board {ladder.board!r} in folder {file.parent.name!r}",
            file=file,
            key="board",
            cure="Make them agree",
        )
    return ladder


def profiles_of(ladder: Ladder, file: Path) -> dict[str, HwProfile]:
    """One profile per rung, by model.

    Raises:
        ConfigError: a model that comes twice, or a rung that makes no good profile.
    """
    found: dict[str, HwProfile] = {}
    for i, rung in enumerate(ladder.rungs):
        if rung.model in found:
            raise ConfigError(
                f"{rung.model} comes twice", file=file, key=f"rungs[{i}].model", cure="Keep one of them"
            )
        profile = _profile(ladder, rung)
        try:
            check_profile(profile, file)
        except ConfigError as error:
            raise ConfigError(
                error.message, file=file, key=f"rungs[{i}] ({rung.model}): {error.key}", cure=error.cure
            ) from error
        found[rung.model] = profile
    return found


def ladder_text(ladder: Ladder) -> str:
    """The file's text, one line a rung."""
    return document(ladder, inline=("rungs",))


def _profile(ladder: Ladder, rung: Rung) -> HwProfile:
    at = f"{ladder.citation}, {ladder.path.replace('{model}', rung.model)}"
    columns = ladder.columns
    added = rung.lowest_ms is not None
    timed = columns.lowest if added else columns.service
    share = rung.accuracy
    said = {"batch": 1, "metered": ladder.metered}
    gross = InferenceEnergy(
        value=rung.energy_mj,
        origin=columns.energy_mj.origin,
        source=f"{at}: {columns.energy_mj.how}",
        n=rung.n,
        **said,  # type: ignore[arg-type]
    )
    energies = [gross]
    if ladder.idle_w is not None and ladder.idle_w.value < rung.active_w:
        energies.append(
            InferenceEnergy(
                value=rung.energy_mj * (1 - ladder.idle_w.value / rung.active_w),
                origin=Origin.DERIVED,
                source=f"{at}: {columns.energy_mj.how}, less the power at rest",
                net=True,
                n=rung.n,
                **said,  # type: ignore[arg-type]
            )
        )
    return HwProfile(
        schema=1,
        board=ladder.board,
        model=rung.model,
        task=ladder.task,
        service=(
            Service(
                batch=1,
                exit=0,
                p=(0.0, *ladder.p) if added else ladder.p,
                ms=rung.ms if rung.lowest_ms is None else (rung.lowest_ms, *rung.ms),
                origin=timed.origin,
                source=f"{at}: {timed.how}",
                n=rung.n,
            ),
        ),
        accuracy=(
            Quantity(
                value=share,
                origin=columns.accuracy.origin,
                source=f"{at}: {columns.accuracy.how}",
                sigma=math.sqrt(share * (1 - share) / ladder.accuracy_samples)
                if ladder.accuracy_samples
                else None,
            ),
        ),
        accuracy_metric=ladder.accuracy_metric,
        active_w=Quantity(
            value=rung.active_w,
            origin=columns.active_w.origin,
            source=f"{at}: {columns.active_w.how}",
            metered=ladder.metered,
        ),
        idle_w=ladder.idle_w,
        energy_mj=tuple(energies),
        provenance=ladder.provenance,
    )
