"""Writes a run folder: nothing that was finished is lost to ``kill -9``.

Each record is handed to the kernel by one ``write()`` on a descriptor that stays open, so it survives the death of the
process; ``fsync`` at the end of a trial and of the run makes it survive the death of the machine too.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.errors import StoreError
from testbed.store.durable import write_all, write_atomically
from testbed.store.event_log import EventLog
from testbed.store.provenance import sha256_of
from testbed.store.schema import Footer, Header, TrialEnd, TrialStart
from testbed.store.versions import load_header

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from testbed.model.record import Alignment, TrialStatus
    from testbed.store.schema import Entry

AT_ONCE = 64
"""Entries of a buffered journal encoded together; it may lose its tail in a crash."""

BLOCK_BYTES = 256 * 1024
"""What a buffered journal collects before it writes."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_new(folder: Path) -> None:
    """Refuse a folder that no run can begin in; worth knowing before boards are opened for it.

    Raises:
        StoreError: it already holds something, or cannot be written.
    """
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        taken = there == folder and there.is_dir() and any(folder.iterdir())
    except OSError as error:
        raise StoreError(f"cannot be looked into: {error.strerror}", file=folder) from error
    if taken:
        raise StoreError(
            "already holds a run or something else", file=folder, cure="Resume it, or choose another"
        )
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "is no folder" if not there.is_dir() else "may not be written by you"
        raise StoreError(f"{there} {why}", file=folder, cure="Name another folder with --out")


class RunWriter:
    """The one writer of a run folder; a context manager that lets go of its lock."""

    def __init__(self, folder: Path, header: Header, lock: int) -> None:
        """Use `create` or `resume` instead."""
        self.folder = folder
        self.header = header
        self._lock = lock
        self._sha256: dict[str, str] = {}

    @classmethod
    def create(cls, folder: Path, header: Header) -> RunWriter:
        """Begin a run: the folder, then the header.

        Raises:
            StoreError: the folder already holds something, or cannot be written.
        """
        check_new(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = _lock(folder)
            (folder / "trials").mkdir()
            write_atomically(folder / "header.json", _pretty(header))
        except OSError as error:
            raise StoreError(f"cannot be written: {error.strerror}", file=folder) from error
        return cls(folder, header, lock)

    @classmethod
    def resume(cls, folder: Path) -> RunWriter:
        """Go on with a run that was interrupted.

        Raises:
            StoreError: no run there, one of another schema, or one that another process is writing.
        """
        header = load_header(folder)
        return cls(folder, header, _lock(folder))

    def begin(self, start: TrialStart, *, buffered: bool = False) -> TrialWriter:
        """Open the journal of the next attempt at a trial; ``start.attempt`` is filled in.

        Args:
            buffered: hand blocks of entries to the kernel instead of each on its own, where a trial that is cut off
                costs nothing: in virtual time it is played again, to the same bytes.

        Raises:
            StoreError: the name is not a plain file name, or the folder cannot be written.
        """
        if not _NAME.fullmatch(start.trial):
            raise StoreError(
                f"{start.trial!r} is no name for a trial", cure="Use letters, digits, '-', '_' and '.'"
            )
        folder = self.folder / "trials" / start.trial
        try:
            folder.mkdir(exist_ok=True)
            numbers = [path.stem.partition("-")[2] for path in folder.glob("attempt-*.jsonl")]
            attempt = 1 + max((int(number) for number in numbers if number.isdigit()), default=0)
            return TrialWriter(
                self, folder, msgspec.structs.replace(start, attempt=attempt), buffered=buffered
            )
        except OSError as error:
            raise StoreError(f"cannot be written: {error.strerror}", file=folder) from error

    def finished(self, path: Path, sha256: str) -> None:
        """Remember the hash of a finished journal for the footer."""
        self._sha256[str(path.relative_to(self.folder))] = sha256

    def close(self, footer: Footer | None = None) -> None:
        """End the run with its footer (hashes filled in), or without one where there is nothing to say.

        Raises:
            StoreError: the footer cannot be written.
        """
        try:
            if footer is not None:
                known = dict(sorted({**_hashes_before(self.folder, self._sha256), **self._sha256}.items()))
                write_atomically(
                    self.folder / "footer.json", _pretty(msgspec.structs.replace(footer, sha256=known))
                )
        except OSError as error:
            raise StoreError(
                f"cannot be written: {error.strerror}", file=self.folder / "footer.json"
            ) from error
        finally:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._lock >= 0:
            self.close()


class TrialWriter:
    """Journal and event log of one attempt; a ``RecordSink`` and a context manager.

    Leaving the block without `end` leaves the attempt unfinished, which is what the reader will report.
    """

    def __init__(self, run: RunWriter, folder: Path, start: TrialStart, *, buffered: bool = False) -> None:
        """Use `RunWriter.begin` instead."""
        self._at_once, self._block_bytes = (AT_ONCE, BLOCK_BYTES) if buffered else (1, 0)
        self._waiting: list[Entry] = []
        self._block = bytearray()
        self.start = start
        self.path = folder / f"attempt-{start.attempt}.jsonl"
        self._run = run
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._hash = hashlib.sha256()
        self._unhashed = bytearray()
        self._encoder = msgspec.json.Encoder()
        self.events = EventLog(self.path.with_suffix(".events"))
        self.write(start)

    def write(self, entry: Entry) -> None:
        """Append one entry; unless the journal is buffered, it survives ``kill -9`` once this returns.

        Raises:
            StoreError: the disk is full or gone, or the attempt has ended.
        """
        if self._fd < 0:
            raise StoreError("attempt has ended", file=self.path)
        waiting = self._waiting
        waiting.append(entry)
        if len(waiting) >= self._at_once:
            self._encode()
            if len(self._block) >= self._block_bytes:
                self._flush()

    def _encode(self) -> None:
        self._block += self._encoder.encode_lines(self._waiting)
        self._waiting.clear()

    def _flush(self) -> None:
        block, self._block = self._block, bytearray()
        write_all(self._fd, block, self.path)
        # Only the footer needs the hash: of single records it is taken together, while nobody waits for one.
        self._unhashed += block
        if len(self._unhashed) >= BLOCK_BYTES:
            self._digest()

    def _digest(self) -> str:
        """Hash of all that was written."""
        self._hash.update(self._unhashed)
        self._unhashed.clear()
        return self._hash.hexdigest()

    def end(
        self,
        status: TrialStatus,
        *,
        counters: dict[str, float] | None = None,
        reason: str = "",
        aligned: tuple[Alignment, ...] = (),
    ) -> None:
        """Write the last line, make everything durable, and let go.

        Raises:
            StoreError: as `write`.
        """
        start = self.start
        self.write(
            TrialEnd(
                trial=start.trial,
                attempt=start.attempt,
                status=status,
                requests=start.requests,
                counters=counters or {},
                reason=reason,
                aligned=aligned,
            )
        )
        self._encode()
        self._flush()
        os.fsync(self._fd)
        self._run.finished(self.path, self._digest())
        self.close()

    def close(self) -> None:
        """Let go, ended or not; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self.events.close()

    def __enter__(self) -> TrialWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


def _lock(folder: Path) -> int:
    """Hold the run folder; the kernel lets go when the process dies."""
    try:
        fd = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}", file=folder) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise StoreError(
            "another process is writing this run", file=folder, cure="Wait for it or stop it"
        ) from error
    return fd


def _pretty(value: Any) -> bytes:  # noqa: ANN401 - any Struct
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def _hashes_before(folder: Path, fresh: dict[str, str]) -> dict[str, str]:
    """Hashes of journals that earlier processes of this run wrote; computed now where no footer states them."""
    stated: dict[str, str] = {}
    path = folder / "footer.json"
    if path.exists():
        stated = msgspec.json.decode(path.read_bytes(), type=Footer).sha256
    for journal in sorted(folder.glob("trials/*/attempt-*.jsonl")):
        name = str(journal.relative_to(folder))
        if name not in stated and name not in fresh:
            stated[name] = sha256_of(journal)
    return stated
