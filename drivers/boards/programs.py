"""Finds the compiled program of a model, by the hash of the ONNX file that it was compiled from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import drivers.npu
from drivers.agent.runtimes.overlay.program_file import ProgramError, read_program
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.model.lab import ModelFiles

SHIPPED = Path(drivers.npu.__file__).parent / "programs"
"""Programs of the zoo, for the overlay's default configuration."""


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A program file and its hash; the hash of the image in it, and how many exits it has."""

    path: Path
    sha256: str
    image_sha256: str
    exits: int


def program_of(files: ModelFiles, folders: Iterable[Path], *, file: Path, key: str) -> Compiled:
    """The program compiled from exactly this model.

    Args:
        folders: looked through in turn, before what is shipped.
        file, key: whose fault it is where there is none.

    Raises:
        ConfigError: there is none, or a program in the folders is damaged.
    """
    wanted = identity(files.sha256)
    for folder in (*folders, SHIPPED):
        for path in sorted(folder.glob("*.npu")):
            data = path.read_bytes()
            try:
                program = read_program(data)
            except ProgramError as error:
                raise ConfigError(error.message, file=path, cure=error.cure) from error
            if program.onnx_sha256 == wanted:
                digest = hashlib.sha256(data).hexdigest()
                return Compiled(
                    path=path, sha256=digest, image_sha256=program.sha256, exits=len(program.exits)
                )
    raise ConfigError(
        f"no program was compiled from {files.name} (SHA-256 {wanted[:12]}…)",
        file=file,
        key=key,
        cure="Compile it: python -m drivers.npu.compile; and name the program's folder in overlay.programs",
    )


def identity(sha256: tuple[str, ...]) -> str:
    """What a model is known by: its file's hash, or that of its parts' hashes joined, as in the catalogue."""
    return sha256[0] if len(sha256) == 1 else hashlib.sha256("".join(sha256).encode()).hexdigest()
