"""Folders that go with the process that made them: sockets and keys of virtual boards, half-built files.

::

    testbed-XXXXXXXX         the folder
    testbed-XXXXXXXX.lock    held (flock) by its maker; made before the folder, removed after it

The kernel lets go of the lock however the maker ends. What is left then is removed by whoever makes the next folder in
the same place; a folder without a lock file beside it is somebody else's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "testbed-"
LOCK = ".lock"


@contextlib.contextmanager
def scratch_folder(place: Path | None = None) -> Iterator[Path]:
    """A fresh folder for this user alone, removed at the end; what killed processes left there is removed at once.

    Args:
        place: the folder to make it in; the system's for temporary files unless given.

    Raises:
        OSError: it cannot be made.
    """
    place = Path(tempfile.gettempdir()) if place is None else place
    remove_left_behind(place)
    file, lock = _make(place)
    try:
        yield file.with_suffix("")
    finally:
        try:
            _remove(file)
        finally:
            os.close(lock)


def remove_left_behind(place: Path) -> None:
    """Remove this user's folders whose makers have ended; what cannot be removed is left to the next who tries."""
    for file in place.glob(f"{PREFIX}*{LOCK}"):
        with contextlib.suppress(OSError):  # held, gone in between, or not to be touched
            if not _is_ours(file):
                continue
            lock = _hold(file)
            try:
                _remove(file)
            finally:
                os.close(lock)


def _make(place: Path) -> tuple[Path, int]:
    while True:
        fd, name = tempfile.mkstemp(prefix=PREFIX, suffix=LOCK, dir=place)
        os.close(fd)
        file = Path(name)
        try:
            lock = _hold(file)
        except (BlockingIOError, FileNotFoundError):
            continue  # another start came upon it before we held it, and removes it
        try:
            file.with_suffix("").mkdir(mode=0o700)
        except OSError as error:
            file.unlink()
            os.close(lock)
            if not isinstance(error, FileExistsError):  # of somebody who makes no lock
                raise
        else:
            return file, lock


def _hold(file: Path) -> int:
    """Take a lock; closing what is returned gives it back.

    Raises:
        BlockingIOError: somebody has it. FileNotFoundError: whoever had it removed it just now.
    """
    # Open for writing: an exclusive lock on NFS asks for it. Source: flock(2).
    fd = os.open(file, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), file.stat()):
            raise FileNotFoundError(file)
    except OSError:
        os.close(fd)
        raise
    return fd


def _remove(file: Path) -> None:
    """Remove a folder and then its lock, which is held; a folder into which a dying child still writes keeps it."""
    folder = file.with_suffix("")
    if os.path.lexists(folder) and _is_ours(folder):
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            return
    file.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    return path.lstat().st_uid == os.geteuid()
