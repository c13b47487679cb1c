"""Reads the files of ``hwprofiles/<board>/`` into `HwProfile` values, refusing what is incomplete or out of order.

History of the file's ``schema``: 1, first version. What was added since is optional under the same number: ``metered``,
``energy_mj``, ``accuracy_metric``, ``confidence``, ``provenance``; then ``concurrent``, ``link_*``,
``meter_refresh_ms``, and in a service row ``warmup``, ``p50_ms``, ``p99_ms``, ``stopped``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import resources
from testbed.errors import ConfigError, did_you_mean
from testbed.model.lab import parse_options
from testbed.model.profile import HwProfile, InferenceEnergy, Quantity, Service
from testbed.store import ladders
from testbed.store.profile_checks import check_names, check_profile

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA = 1


def load_profile(file: Path) -> HwProfile:
    """One profile from its file.

    Raises:
        ConfigError: unreadable, unknown or missing key, wrong type, unknown schema, quantiles out of order,
            an exit without a service time, a figure without a source, powers metered differently, or a name that
            is not the file's own.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("cannot read the profile", file=file, cure="Check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not TOML: {error}", file=file, cure="Correct the syntax") from error
    for i, row in enumerate(_tables(table.get("service"))):
        parse_options(row, Service, file=file, key=f"service[{i}]")
    for i, row in enumerate(_tables(table.get("accuracy"))):
        parse_options(row, Quantity, file=file, key=f"accuracy[{i}]")
    for i, row in enumerate(_tables(table.get("energy_mj"))):
        parse_options(row, InferenceEnergy, file=file, key=f"energy_mj[{i}]")
    profile = parse_options(table, HwProfile, file=file, key="")
    if profile.schema != SCHEMA:
        raise ConfigError(
            f"schema {profile.schema} is not known",
            file=file,
            key="schema",
            cure=f"This release reads {SCHEMA}",
        )
    check_names(profile, file)
    check_profile(profile, file)
    return profile


def load_profiles(folder: Path) -> dict[str, HwProfile]:
    """Every profile of a folder, by name of the model; those of its ladder, if it has one, included.

    Raises:
        ConfigError: the folder does not exist, holds no profile, one of them is wrong, or a model comes twice.
    """
    if not folder.is_dir():
        raise ConfigError("no such folder of profiles", file=folder, cure="Check the name of the profile")
    files = [file for file in sorted(folder.glob("*.toml")) if file.name != ladders.FILE]
    profiles = {profile.model: profile for profile in map(load_profile, files)}
    ladder = folder / ladders.FILE
    if ladder.is_file():
        rungs = ladders.profiles_of(ladders.load_ladder(ladder), ladder)
        if twice := sorted(rungs.keys() & profiles.keys()):
            raise ConfigError(
                f"{', '.join(twice)} also in a file of its own",
                file=ladder,
                key="rungs",
                cure="Keep one of them",
            )
        profiles = dict(sorted({**profiles, **rungs}.items()))
    if not profiles:
        begun = [file.name for file in sorted(folder.glob("*.journal.jsonl")) if file.stat().st_size]
        if begun:
            raise ConfigError(
                f"no profile in this folder, but the journal of an interrupted one: {', '.join(begun)}",
                file=folder,
                cure="Give the command that began it again, with --resume",
            )
        raise ConfigError("no profile in this folder", file=folder, cure="Run: testbed profile BOARD MODEL")
    return profiles


def find_folder(name: str, *, beside: Path | None = None) -> Path:
    """The folder of a board's profiles.

    Args:
        name: a path with a separator in it, or the name of a folder below ``hwprofiles``: beside the lab file, in a
            folder above it, or the one that is shipped.
        beside: a lab file; a path is taken relative to its folder.

    Raises:
        ConfigError: there is none; the cure names the closest one.
    """
    if "/" in name:
        folder = Path(name) if beside is None else beside.parent / name
        if beside is not None and not folder.is_dir():
            cure = "Correct the path; it is taken from the lab file's folder"
            raise ConfigError(f"no folder {folder}", file=beside, key="profiles", cure=cure)
        return folder
    places = [] if beside is None else [folder / "hwprofiles" for folder in beside.resolve().parents]
    places.append(resources.shipped("hwprofiles"))
    known: dict[str, Path] = {}
    for place in places:
        if place.is_dir():
            known = {folder.name: folder for folder in place.iterdir() if folder.is_dir()} | known
    if name in known:
        return known[name]
    if beside is None:
        cure = f"Name a folder of your own by its path, as in hwprofiles/{name}. {did_you_mean(name, known)}"
        raise ConfigError(f"no profiles called {name!r} are shipped, and there is no such folder", cure=cure)
    raise ConfigError(
        f"no profiles called {name!r} in hwprofiles, neither beside the lab file nor shipped",
        file=beside,
        key="profiles",
        cure=did_you_mean(name, known),
    )


def _tables(value: object) -> Iterable[dict[str, object]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
