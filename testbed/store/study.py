"""The result of a study that plays no trials: one file in a run folder, written whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from testbed.errors import StoreError
from testbed.store.durable import write_atomically
from testbed.store.provenance import git_state, versions

if TYPE_CHECKING:
    from pathlib import Path

STUDY_FILE = "study.json"
SCHEMA = 1


class Study(Struct, frozen=True, kw_only=True):
    """What was computed, from what, and by which version.

    Attributes:
        kind: as in the campaign file; says what ``rows`` hold.
        spec: the campaign file as it was read. models: SHA-256 of each model's files.
        rows: one mapping each. figures: the headline.
    """

    kind: str
    name: str
    question: str
    created: str
    seed: int
    spec: dict[str, Any]
    models: dict[str, list[str]]
    rows: list[dict[str, Any]]
    figures: dict[str, float]
    git_commit: str | None = None
    versions: dict[str, str] = {}
    schema: int = SCHEMA


def write_study(folder: Path, study: Study, *, source: Path) -> None:
    """Write it, with commit and versions of the program.

    Args:
        source: a folder of the program's source tree.

    Raises:
        StoreError: the folder cannot be written, or holds a study already.
    """
    path = folder / STUDY_FILE
    if path.exists():
        raise StoreError("holds a study already", file=path, cure="Give another folder with --out")
    whole = msgspec.structs.replace(study, git_commit=git_state(source)[0], versions=versions())
    write_atomically(path, msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n")


def read_study(folder: Path) -> Study:
    """Read it back.

    Raises:
        StoreError: it is missing, damaged, or of a schema not known here.
    """
    path = folder / STUDY_FILE
    try:
        study = msgspec.json.decode(path.read_bytes(), type=Study)
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", file=path) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"is damaged: {error}", file=path, cure="Restore it from a copy") from error
    if study.schema != SCHEMA:
        raise StoreError(
            f"schema {study.schema} is not known to this version, which reads {SCHEMA}", file=path
        )
    return study
