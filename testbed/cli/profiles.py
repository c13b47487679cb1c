"""The commands about hardware profiles: list, compare and check them, and print their schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from testbed import resources
from testbed.cli.door import Ended, Exit
from testbed.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.cli.terminal import Terminal
    from testbed.model.profile import HwProfile
    from testbed.report.profiles.compare import ProfileComparison


def show(terminal: Terminal, names: Sequence[str]) -> None:
    """List folders of profiles: the shipped ones, or of those named every model.

    Raises:
        ConfigError: no such folder, or a file in it is wrong.
    """
    from testbed.report.profiles.compare import compare_profiles
    from testbed.report.profiles.pages import profiles_to_json

    chosen = names or [folder.name for folder in folders()]
    found = compare_profiles({name: read(name) for name in chosen})
    if terminal.json:
        terminal.emit(profiles_to_json(found))
        return
    if names:
        _models(terminal, found)
    else:
        _folders(terminal, found)


def compare(terminal: Terminal, names: Sequence[str], *, out: Path | None) -> None:
    """Set profiles side by side; with ``out``, also as a page or a picture.

    Raises:
        ConfigError: no such profiles, one named twice, or a file that cannot be written.
    """
    from testbed.report.profiles.compare import compare_profiles
    from testbed.report.profiles.pages import profiles_to_console, profiles_to_json, write_profiles

    if len(set(names)) < len(names):
        raise ConfigError("the same profiles twice", key="names", cure="Name each once")
    found = compare_profiles({name: read(name) for name in names})
    if out is not None:
        write_profiles(found, out)
    if terminal.json:
        terminal.emit({**profiles_to_json(found), "file": None if out is None else str(out)})
        return
    terminal.show(*profiles_to_console(found))
    if out is not None:
        terminal.note(f"written to {out}")


def check(terminal: Terminal, names: Sequence[str]) -> None:
    """Read every profile, and say what is wrong or missing.

    Raises:
        Ended: something is.
    """
    from testbed.store.profile_checks import shortcomings

    chosen = list(names) or [str(folder) for folder in folders()]
    wrong: dict[str, list[str]] = {}
    shown: list[str] = []
    count = 0
    terminal.start("profiles", len(chosen))
    for name in chosen:
        for one in _read_each(name):
            if isinstance(one, ConfigError):
                wrong.setdefault(name, []).append(str(one))
                inside = one.file is not None and Path(one.file).is_relative_to(name)
                shown.append(str(one) if inside else f"{name}: {one}")
                continue
            count += 1
            if said := shortcomings(one):
                wrong[f"{name}/{one.model}"] = said
                shown += [f"{name}/{one.model}: {text}" for text in said]
        terminal.advance()
    terminal.done()
    if terminal.json:
        terminal.emit({"schema": 1, "folders": chosen, "profiles": count, "wrong": wrong})
    else:
        terminal.show(*shown)
        terminal.show(f"{count} profile{'' if count == 1 else 's'} read: {len(shown) or 'nothing'} to mend")
    if wrong:
        raise Ended(Exit.MISSED)


def borrow(terminal: Terminal, model: str, names: Sequence[str], *, out: Path, catalog: Path | None) -> None:
    """Write a profile of a model that is paced and powered as published ones on real silicon.

    Raises:
        ConfigError: no such model or profile, or they do not fit the model's exits.
    """
    import msgspec

    from testbed.campaign.stand_in import stand_in
    from testbed.store.profile_writer import write_profile
    from testbed.zoo.catalog import load_catalog, shipped

    rungs = [profile for name in names for profile in read(name)]
    of = load_catalog(catalog if catalog is not None else shipped("image-classification/fashion-mnist"))
    made = stand_in(of, model, rungs, board=out.resolve().name)
    file = out / f"{model}.toml"
    write_profile(made, file)
    if terminal.json:
        terminal.emit({"schema": 1, "file": str(file), "profile": msgspec.to_builtins(made)})
        return
    terminal.show(
        f"written to {file}: {model} paced as {', '.join(rung.model for rung in rungs)} on {rungs[0].board}; "
        "assumed, since nobody ran it there"
    )


def schema(terminal: Terminal) -> None:
    """Print the JSON schema of the files, which is one JSON document with or without ``--json``."""
    from testbed.store.profile_schema import schema_text

    terminal.emitted = True
    terminal.write(schema_text())


def folders() -> list[Path]:
    """The shipped folders of profiles."""
    return sorted(folder for folder in resources.shipped("hwprofiles").iterdir() if folder.is_dir())


def read(name: str) -> list[HwProfile]:
    """Profiles by name: a board, ``BOARD/MODEL``, a folder or a file.

    Raises:
        ConfigError: there are none; the cure names the closest.
    """
    from testbed.store.ladders import FILE
    from testbed.store.profiles import find_folder, load_profile, load_profiles

    path = Path(name)
    if path.is_file() and path.name != FILE:
        return [load_profile(path)]
    if path.is_dir():
        return list(load_profiles(path).values())
    board, slash, model = name.rpartition("/")
    if not slash:
        return list(load_profiles(find_folder(name)).values())
    profiles = load_profiles(Path(board) if Path(board).is_dir() else find_folder(board))
    if model not in profiles:
        raise ConfigError(f"no profile of {model!r}", file=board, cure=did_you_mean(model, profiles))
    return [profiles[model]]


def _read_each(name: str) -> list[HwProfile | ConfigError]:
    """Profiles by name, and what is wrong: one file that cannot be read does not hide the others of its folder."""
    from testbed.store.ladders import FILE
    from testbed.store.profiles import load_profile

    try:
        found: list[HwProfile | ConfigError] = [*read(name)]
    except ConfigError as error:
        found = []
        for file in sorted(Path(name).glob("*.toml")):
            try:
                found += [load_profile(file)] if file.name != FILE else []
            except ConfigError as of_file:
                found.append(of_file)
        if not any(isinstance(one, ConfigError) for one in found):
            found.append(error)
    return found


def _folders(terminal: Terminal, found: ProfileComparison) -> None:
    from testbed.report import words
    from testbed.report.console import draw
    from testbed.report.table import Table

    rows = []
    for subject in found.subjects:
        mine = [point for point in found.points if point.subject == subject.name]
        energies = [point.energy_mj for point in mine if point.energy_mj is not None]
        rows.append(
            (
                subject.name,
                ", ".join(sorted({point.task.partition("/")[2] for point in mine})),
                ", ".join(subject.origins),
                ", ".join(subject.kinds) or words.NONE,
                str(subject.models),
                _range([point.accuracy for point in mine]),
                _range([point.ms for point in mine]),
                _range(energies),
                words.number(subject.idle_w),
            )
        )
    table = Table(
        title="Hardware profiles",
        head=("board", "tasks", "origin", "metered", "models", "accuracy", "ms", "mJ", "idle W"),
        names=4,
        body=tuple(rows),
        remarks=(
            "ms: median service time of one inference; mJ: its energy, gross; compare only what is metered alike.",
            "testbed profiles list BOARD shows its models; testbed profiles compare A B sets two side by side.",
        ),
    )
    terminal.show(*draw(table))


def _models(terminal: Terminal, found: ProfileComparison) -> None:
    from testbed.report.console import draw
    from testbed.report.profiles.pages import profile_tables

    for table in profile_tables(found):
        terminal.show(*draw(table))


def _range(values: Sequence[float]) -> str:
    from testbed.report import words

    if not values:
        return words.NONE
    low, high = words.number(min(values)), words.number(max(values))
    return low if low == high else f"{low} to {high}"
