"""What a profile has measured so far, line by line beside its output: what is in it survives ``kill -9``.

One JSON object a line, each handed to the disk by one write before the next thing is measured. A line that was cut off
is dropped when it is read again. History of ``schema``: 1, first version.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Struct

from testbed.campaign.profiling.plan import Cell, Plan
from testbed.errors import StoreError
from testbed.store.durable import cannot_write
from testbed.units import Ns

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SCHEMA = 1


class Begun(Struct, frozen=True, kw_only=True, tag="begun"):
    """The first line: what was asked, of which files and of which board.

    Attributes:
        lab_sha256: of the lab file's text. model_sha256: of the model's files.
        board: what identifies the board, as it said itself. wall: when it began, UTC.
    """

    schema: int
    plan: Plan
    lab_sha256: str
    model_sha256: tuple[str, ...]
    board: dict[str, str]
    wall: str


class Block(Struct, frozen=True, kw_only=True, tag="block"):
    """Executions of one cell, one after the other in each lane.

    Attributes:
        ns: service times in order of their end, board's clock. warmup: how many of the first to keep apart.
        settled: the warm-up ended within the block.
        wall_s: what the block took, for the budget. items_per_s: after the warm-up, all lanes together.
        contended: work waited for a core of this host meanwhile, and the board is this host.
        before, after: the board's condition.
    """

    cell: Cell
    ns: tuple[Ns, ...]
    warmup: int
    settled: bool
    wall_s: float
    items_per_s: float
    contended: bool = False
    before: str = ""
    after: str = ""


class LoadSeen(Struct, frozen=True, kw_only=True, tag="load"):
    """Loads of the model, unloaded before each: how long each took on the board's clock, and what it occupied."""

    ns: tuple[Ns, ...]
    memory_bytes: tuple[int, ...]
    text: str = ""


class LinkSeen(Struct, frozen=True, kw_only=True, tag="link"):
    """The way to the board: smallest round trip, rate towards it (``None`` if it could not be told) and how."""

    rtt: Ns
    up_bytes_per_s: float | None
    probes: int
    origin: str
    how: str = ""


class EnergySeen(Struct, frozen=True, kw_only=True, tag="energy"):
    """Repeated work of one cell between two rests, as one meter saw it; figures are ``None`` with a reason.

    Attributes:
        n: executions. span_s: from the first start to the last end. service_s: sum of the service times.
        gross_j, net_j: of the whole span. sigma_j: of the net. sigma_gross_j: of the gross.
        idle_w: power at rest, before and after. sigma_idle_w: gain and offset included.
        refresh_s: mean time from one new reading to the next, as the samples show; ``None`` with too few.
        origin: of the samples. metered: what the meter covers, ``None`` where nobody said.
    """

    cell: Cell
    meter: str
    n: int = 0
    span_s: float = 0.0
    service_s: float = 0.0
    gross_j: float | None = None
    net_j: float | None = None
    sigma_j: float | None = None
    sigma_gross_j: float | None = None
    idle_w: float | None = None
    sigma_idle_w: float | None = None
    idle_drift_w: float | None = None
    refresh_s: float | None = None
    samples: int = 0
    origin: str = ""
    metered: str | None = None
    what: str = ""
    accuracy: str = ""
    reason: str = ""


class AccuracySeen(Struct, frozen=True, kw_only=True, tag="accuracy"):
    """Answers of one exit on the calibration set.

    Attributes:
        n: samples judged. correct: of these. executed: how many the board itself answered.
        agreed: of those executed, how often it gave the stored label; ``None`` where none is stored.
        stored: the figures are of stored predictions, because executing all would have taken too long.
        recall: per class. threshold, kept_frac, kept_accuracy: as in `testbed.model.profile.Confidence`.
    """

    exit: int
    n: int
    correct: int
    executed: int
    agreed: int | None
    stored: bool
    recall: tuple[float, ...]
    threshold: tuple[float, ...]
    kept_frac: tuple[float, ...]
    kept_accuracy: tuple[float, ...]


class Remark(Struct, frozen=True, kw_only=True, tag="remark"):
    """Something a reader of the profile should know."""

    text: str


class Finished(Struct, frozen=True, kw_only=True, tag="finished"):
    """Everything asked for is here."""


Entry: TypeAlias = Begun | Block | LoadSeen | LinkSeen | EnergySeen | AccuracySeen | Remark | Finished
_DECODER: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


class Journal:
    """An append-only file of entries, held by one process; a context manager that lets go of it.

    The first entry makes the file anew. Where none is written, an earlier profile's journal stays as it was, and a new
    one leaves nothing behind, its folder included.

    Attributes:
        entries: everything in it, the first line included.
    """

    def __init__(self, file: Path, *, resume: bool) -> None:
        """Open it, and read what is there.

        Args:
            resume: go on with what is there; otherwise only a finished one is written anew.

        Raises:
            StoreError: another process writes it, it is no journal, or one that was interrupted would be lost.
        """
        self.file = file
        self.entries: list[Entry] = []
        self._made = [folder for folder in file.parents if not folder.exists()]
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise cannot_write(file, error) from error
        try:
            self._take(resume)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def begun(self) -> Begun | None:
        """The first line, ``None`` for a new journal."""
        first = self.entries[0] if self.entries else None
        return first if isinstance(first, Begun) else None

    def write(self, entry: Entry) -> None:
        """Append one entry; it survives once this returns.

        Raises:
            StoreError: the disk does not take it.
        """
        line = msgspec.json.encode(entry) + b"\n"
        try:
            if not self.entries:
                os.ftruncate(self._fd, 0)
            if os.write(self._fd, line) != len(line):
                raise StoreError("the disk is full", file=self.file)
            os.fsync(self._fd)
        except OSError as error:
            raise StoreError(f"cannot be written: {error.strerror}", file=self.file) from error
        self.entries.append(entry)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.fstat(self._fd).st_size == 0:
            with contextlib.suppress(OSError):  # somebody put something else into the folder meanwhile
                self.file.unlink()
                for folder in self._made:
                    folder.rmdir()
        os.close(self._fd)

    def _take(self, resume: bool) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._fd).st_nlink == 0:
                raise FileNotFoundError("its last writer has just taken it away")
        except OSError as error:
            cure = "Wait until that one has ended"
            raise StoreError("another process profiles into this file", file=self.file, cure=cure) from error
        whole, keep = _read(self.file)
        if resume:
            os.ftruncate(self._fd, keep)
            self.entries = whole
        elif whole and not isinstance(whole[-1], Finished):
            cure = "Go on with it by --resume, or remove the file"
            raise StoreError("a profile was interrupted here", file=self.file, cure=cure)


def _read(file: Path) -> tuple[list[Entry], int]:
    """The entries of a journal, and the length of the file without a line that was cut off."""
    entries: list[Entry] = []
    length = 0
    for line in file.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            entry = _DECODER.decode(line)
        except msgspec.DecodeError as error:
            cure = "Remove it, and profile again"
            raise StoreError(f"line {len(entries) + 1} is no entry: {error}", file=file, cure=cure) from error
        if not entries and not (isinstance(entry, Begun) and entry.schema == SCHEMA):
            raise StoreError("is no journal of a profile of this release", file=file, cure="Remove it")
        entries.append(entry)
        length += len(line)
    return entries, length
