"""Reads ``hwprofiles/<board>/<model>.toml`` into `HwProfile` values, refusing what is incomplete or out of order.

History of the file's ``schema``: 1, first version.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import resources
from testbed.errors import ConfigError, did_you_mean
from testbed.model.lab import parse_options
from testbed.model.profile import HwProfile, Quantity, Service

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA = 1


def load_profile(file: Path) -> HwProfile:
    """One profile from its file.

    Raises:
        ConfigError: unreadable, unknown or missing key, wrong type, unknown schema, quantiles out of order,
            an exit without a service time, a figure without a source, or a name that is not the file's own.
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
    profile = parse_options(table, HwProfile, file=file, key="")
    _check_names(profile, file)
    for i, service in enumerate(profile.service):
        _check_service(service, file, f"service[{i}]")
    _check_coverage(profile, file)
    _check_sources(profile, file)
    return profile


def load_profiles(folder: Path) -> dict[str, HwProfile]:
    """Every profile of a folder, by name of the model.

    Raises:
        ConfigError: the folder does not exist, holds no profile, or one of them is wrong.
    """
    if not folder.is_dir():
        raise ConfigError("no such folder of profiles", file=folder, cure="Check the name of the profile")
    profiles = {profile.model: profile for profile in map(load_profile, sorted(folder.glob("*.toml")))}
    if not profiles:
        raise ConfigError("no profile in this folder", file=folder, cure="Run: testbed profile BOARD MODEL")
    return profiles


def find_folder(name: str, *, beside: Path | None = None) -> Path:
    """The folder of a board's profiles.

    Args:
        name: a folder's name below ``hwprofiles``, or a path.
        beside: a lab file; a path with a separator in it is taken relative to its folder.

    Raises:
        ConfigError: there is none; the cure names the closest one.
    """
    if "/" in name:
        return Path(name) if beside is None else beside.parent / name
    folders = {folder.name: folder for folder in resources.shipped("hwprofiles").iterdir() if folder.is_dir()}
    if name in folders:
        return folders[name]
    raise ConfigError(
        f"no profiles called {name!r}", file=beside, key="profiles", cure=did_you_mean(name, folders)
    )


def _tables(value: object) -> Iterable[dict[str, object]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _check_names(profile: HwProfile, file: Path) -> None:
    if profile.schema != SCHEMA:
        raise ConfigError(
            f"schema {profile.schema} is not known",
            file=file,
            key="schema",
            cure=f"This release reads {SCHEMA}",
        )
    if profile.board != file.parent.name:
        raise ConfigError(
            f"board {profile.board!r} in folder {file.parent.name!r}",
            file=file,
            key="board",
            cure="Make them agree",
        )
    if profile.model != file.stem:
        raise ConfigError(
            f"model {profile.model!r} in file {file.name!r}", file=file, key="model", cure="Make them agree"
        )


def _check_service(service: Service, file: Path, key: str) -> None:
    if len(service.p) != len(service.ms) or not service.p:
        raise ConfigError(
            f"{len(service.p)} probabilities and {len(service.ms)} times",
            file=file,
            key=f"{key}.p",
            cure="Give one time per probability",
        )
    rising = all(a < b for a, b in zip(service.p, service.p[1:], strict=False))
    if not rising or service.p[0] < 0 or service.p[-1] > 1:
        raise ConfigError(
            "probabilities must increase within [0, 1]", file=file, key=f"{key}.p", cure="Sort them"
        )
    if service.ms[0] <= 0 or any(a > b for a, b in zip(service.ms, service.ms[1:], strict=False)):
        raise ConfigError(
            "quantiles must be positive and never decrease",
            file=file,
            key=f"{key}.ms",
            cure="Check their order",
        )
    if service.batch < 1 or service.exit < 0:
        raise ConfigError("batch starts at 1 and exit at 0", file=file, key=key, cure="Correct the numbers")


def _check_coverage(profile: HwProfile, file: Path) -> None:
    keys = [(service.exit, service.batch) for service in profile.service]
    if keys != sorted(set(keys)):
        raise ConfigError(
            "rows must be sorted by exit, then batch, each once", file=file, key="service", cure="Sort them"
        )
    wanted, found = set(range(profile.exits)), {exit_ for exit_, batch in keys if batch == 1}
    if not wanted or found != wanted:
        raise ConfigError(
            f"exits {sorted(wanted)} by accuracy, {sorted(found)} with a service time at batch 1",
            file=file,
            key="service",
            cure="Give every exit an accuracy and a row with batch = 1",
        )


def _check_sources(profile: HwProfile, file: Path) -> None:
    named: dict[str, Quantity | Service | None] = {
        "active_w": profile.active_w,
        "idle_w": profile.idle_w,
        "load_ms": profile.load_ms,
        "memory_bytes": profile.memory_bytes,
        **{f"service[{i}]": service for i, service in enumerate(profile.service)},
        **{f"accuracy[{i}]": quantity for i, quantity in enumerate(profile.accuracy)},
    }
    for key, figure in named.items():
        if figure is not None and not figure.source.strip():
            raise ConfigError(
                "a figure without a source",
                file=file,
                key=f"{key}.source",
                cure="Say where it comes from: a publication, a run folder, or the reasoning of an assumption",
            )
