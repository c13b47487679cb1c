"""What the agent keeps on the board's disk: files by SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from typing import TYPE_CHECKING

from testbed.errors import TestbedError
from testbed.wire.messages import BlobState

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.wire.messages import PutBlob

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class BlobError(TestbedError):
    """A file is missing, or is not what its name says."""


class BlobStore:
    """Files named by their hash, received in pieces.

    ``DIR/<sha256>`` is whole and verified, ``DIR/<sha256>.part`` is on its way and resumed at its length.
    Not thread-safe: one thread keeps house.
    """

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._verified: dict[str, tuple[int, int]] = {}

    def state_of(self, sha256: str, text: str = "") -> BlobState:
        """How much of a file is here."""
        if not _SHA256.match(sha256):
            return BlobState(sha256, 0, False, "not a SHA-256 in lower-case hexadecimal")
        whole = self._folder / sha256
        if whole.exists():
            return BlobState(sha256, whole.stat().st_size, True, text)
        part = self._part(sha256)
        return BlobState(sha256, part.stat().st_size if part.exists() else 0, False, text)

    def put(self, piece: PutBlob) -> BlobState:
        """Append a piece if it is the next one; say how much is here then, and why nothing was appended."""
        state = self.state_of(piece.sha256)
        if state.complete or state.text:
            return state
        if state.have > piece.total:
            # Two agents once wrote to it, or it was left by something else: start over.
            self._part(piece.sha256).unlink()
            return BlobState(piece.sha256, 0, False, "what was here was longer than the file; dropped")
        if piece.offset != state.have:
            return state._replace(text=f"expected the piece at {state.have}, not at {piece.offset}")
        if piece.offset + len(piece.data) > piece.total:
            return state._replace(text="the piece goes beyond the announced end")
        part = self._part(piece.sha256)
        try:
            if piece.offset == 0 and piece.total > shutil.disk_usage(self._folder).free:
                return state._replace(text=f"{piece.total} bytes do not fit the board's disk")
            with part.open("ab") as file:
                file.write(piece.data)
            if piece.offset + len(piece.data) < piece.total:
                return BlobState(piece.sha256, piece.offset + len(piece.data), False, "")
            if _hash(part) != piece.sha256:
                part.unlink()
                return BlobState(piece.sha256, 0, False, "the hash of what arrived is another one; dropped")
            _persist(part, self._folder / piece.sha256)
        except OSError as error:
            return self.state_of(piece.sha256, f"cannot store: {error}")
        return self.state_of(piece.sha256)

    def path(self, sha256: str) -> Path:
        """Where a whole file is, its hash checked again unless it was checked since it last changed.

        Raises:
            BlobError: it is missing or damaged; a damaged one is removed.
        """
        whole = self._folder / sha256
        if not _SHA256.match(sha256) or not whole.exists():
            raise BlobError(f"no file {sha256[:64]} on this board")
        stat = whole.stat()
        stamp = (stat.st_size, stat.st_mtime_ns)
        if self._verified.get(sha256) != stamp:
            if _hash(whole) != sha256:
                whole.unlink()
                raise BlobError(f"file {sha256} was damaged on this board's disk and has been removed")
            self._verified[sha256] = stamp
        return whole

    def _part(self, sha256: str) -> Path:
        return self._folder / (sha256 + ".part")


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while True:
            data = file.read(1 << 20)
            if not data:
                return digest.hexdigest()
            digest.update(data)


def _persist(draft: Path, final: Path) -> None:
    """Rename so that a power cut leaves either the old or the new file."""
    fd = os.open(str(draft), os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.replace(final)
