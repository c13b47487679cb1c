"""Files that are whole or not there: written to the last byte, and in place only once they are on the disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from testbed.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def write_all(fd: int, data: bytes | bytearray, path: Path) -> None:
    """Hand all bytes to the kernel.

    Raises:
        StoreError: the disk is full or gone.
    """
    try:
        written = os.write(fd, data)
        while written < len(data):
            with memoryview(data) as view:
                written += os.write(fd, view[written:])
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}", file=path) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write the whole file or leave the old one: temporary file, fsync, rename, fsync of the folder.

    Raises:
        StoreError: the folder cannot be written, or the disk is full or gone.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(fd, data, partial)
            os.fsync(fd)
        finally:
            os.close(fd)
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> StoreError:
    """What to say of a file that cannot be made or written."""
    return StoreError(
        f"cannot be written: {error.strerror}", file=path, cure="Choose a folder that may be written"
    )
