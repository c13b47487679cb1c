"""Leases on disk: one file for all boards of a state folder, so that several boards are taken all or none.

::

    <state>/leases.json    every board's leases and the folder's own name, replaced as a whole, on disk before it counts
    <state>/leases.lock    held (flock) by whoever reads, decides and writes; there is no second one, so no deadlock

The folder is shared by all users of a host: the lab file's ``state``, else the user's own ``$XDG_STATE_HOME/testbed``.
Files take the folder's permissions (a group's folder makes files of the group). Every call is bounded and may block for
some milliseconds on the disk: call it from a thread of its own where an event loop runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import pwd
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from testbed.coordinator import leases
from testbed.errors import LeaseError, StoreError
from testbed.measure.environment import boot_id
from testbed.model.lease import LEASE_SCHEMA, BoardLeases, Holder, Instant
from testbed.units import Ns, S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LOCK_LIMIT: Ns = 5 * S
_POLL_S = 0.01


class LeaseFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``leases.json``; ``issuer`` is drawn once and names the folder to boards."""

    issuer: str
    boards: dict[str, BoardLeases] = {}
    schema: int = LEASE_SCHEMA


def this_instant() -> Instant:
    """Now, on this host."""
    return Instant(
        host=platform.node(),
        boot_id=boot_id(),
        boot=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        wall=time.time_ns(),
    )


def this_process() -> Holder:
    """Who we are when we hold a board."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that nobody has given a name
        user = f"uid {os.getuid()}"
    return Holder(user=user, host=platform.node(), pid=os.getpid())


def default_state() -> Path:
    """The user's own state folder, by the XDG Base Directory Specification."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    return base / "testbed"


class LeaseStore:
    """The leases of one state folder. ``resources`` are board identities (`testbed.ports.CheckableBoard.resource`)."""

    def __init__(self, folder: Path, *, now: Callable[[], Instant] = this_instant) -> None:
        """Nothing is read or made yet."""
        self.folder = folder
        self._now = now
        self._file = folder / "leases.json"

    def read(self) -> tuple[dict[str, BoardLeases], Instant]:
        """All leases as they stand, and the instant that they are to be judged at; makes nothing.

        Raises:
            StoreError: the file is there and cannot be read.
        """
        found = self._load()
        return (dict(found.boards) if found is not None else {}), self._now()

    def acquire(
        self, resources: Mapping[str, str], who: Holder, purpose: str, length: Ns
    ) -> dict[str, BoardLeases]:
        """Hold all boards or none.

        Args:
            resources: what to hold, and what each is called in the lab file.
            length: how long each hold lasts without a heartbeat [ns].

        Returns:
            by resource: its leases, ours among them, and how the last hold before it ended.

        Raises:
            LeaseError: somebody keeps us from it; names everybody who does. StoreError: the folder cannot be used.
        """
        with self._changing() as change:
            self._refuse_blocked(change, resources, who, reserving=False)
            for resource in resources:
                change.boards[resource] = leases.hold(change.of(resource), who, purpose, length, change.now)
            return {resource: change.boards[resource] for resource in resources}

    def renew(self, tokens: Mapping[str, int]) -> None:
        """The heartbeat of holds.

        Raises:
            LeaseError: one is no longer ours; none is prolonged then. StoreError: the folder cannot be used.
        """
        with self._changing() as change:
            for resource, token in tokens.items():
                try:
                    change.boards[resource] = leases.renew(change.of(resource), token, change.now)
                except LeaseError as error:
                    raise LeaseError(error.message, board=resource, code=error.code) from error

    def stand(self, resource: str, token: int, standing: str) -> None:
        """Tell everybody how a board of ours stands; nothing if it is no longer ours. Raises `StoreError`."""
        with self._changing() as change:
            change.boards[resource] = leases.stand(change.of(resource), token, standing)

    def release(self, tokens: Mapping[str, int]) -> None:
        """End holds; those that are no longer ours are left alone. Raises `StoreError`."""
        with self._changing() as change:
            for resource, token in tokens.items():
                change.boards[resource] = leases.let_go(change.of(resource), token, change.now)

    def reserve(self, resources: Mapping[str, str], who: Holder, purpose: str, length: Ns) -> None:
        """Reserve all boards or none; raises as `acquire`."""
        with self._changing() as change:
            self._refuse_blocked(change, resources, who, reserving=True)
            for resource in resources:
                change.boards[resource] = leases.reserve(
                    change.of(resource), who, purpose, length, change.now
                )

    def give_back(self, resources: Mapping[str, str], who: Holder, *, force: bool = False) -> None:
        """End reservations, all or none.

        Raises:
            LeaseError: one is somebody else's. StoreError: the folder cannot be used.
        """
        with self._changing() as change:
            for resource, name in resources.items():
                try:
                    change.boards[resource] = leases.give_back(
                        change.of(resource), who, change.now, force=force
                    )
                except LeaseError as error:
                    raise LeaseError(error.message, board=name, cure=error.cure) from error

    def issuer(self, resource: str) -> str:
        """What vouches to a board that its older leases from here are over: this folder, for this name of the board.

        Two names of one board are two issuers, since the folder does not know that they are one.
        """
        found = self._load()
        own = found.issuer if found is not None else ""
        return hashlib.sha256(f"{own}|{resource}".encode()).hexdigest()[:16]

    def _refuse_blocked(
        self, change: _Change, resources: Mapping[str, str], who: Holder, *, reserving: bool
    ) -> None:
        told = []
        for resource, name in resources.items():
            lease = leases.blocked(change.of(resource), who, change.now, reserving=reserving)
            if lease is not None:
                verb = "held" if lease.holder.pid else "reserved"
                told.append(f"{name} is {verb} by {leases.tell(lease, change.now)}")
        if told:
            raise LeaseError("; ".join(told), cure="Wait with --wait SECONDS, or ask them")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_Change]:
        """Read under the lock, let the caller change, write; nothing is written if that raises."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            mode = self.folder.stat().st_mode & 0o666
            lock = self._open(self.folder / "leases.lock", mode)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._wait_for(lock)
            found = self._load() or LeaseFile(issuer=secrets.token_hex(8))
            change = _Change(dict(found.boards), self._now())
            yield change
            fresh = msgspec.structs.replace(found, boards=change.boards)
            try:
                self._write(fresh, mode)
            except OSError as error:
                raise self._unusable(error) from error
        finally:
            os.close(lock)

    def _wait_for(self, lock: int) -> None:
        until = time.monotonic_ns() + LOCK_LIMIT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic_ns() > until:
                    raise StoreError(
                        "another process does not let go of leases.lock",
                        file=self.folder,
                        cure="See who has it open: fuser leases.lock",
                    ) from None
                time.sleep(_POLL_S)
            except OSError as error:
                raise self._unusable(error) from error
            else:
                return

    def _open(self, path: Path, mode: int) -> int:
        try:
            # Read-only does for flock, and for a file that another user has made.
            return os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, mode)
            with contextlib.suppress(PermissionError):  # somebody else was faster: the mode is set already
                os.fchmod(fd, mode)
            return fd

    def _load(self) -> LeaseFile | None:
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        try:
            found = msgspec.json.decode(data, type=LeaseFile)
        except msgspec.DecodeError as error:
            raise StoreError(
                f"is damaged: {error}",
                file=self._file,
                cure="End all runs, then remove it: boards know newer from older",
            ) from error
        if found.schema != LEASE_SCHEMA:
            raise StoreError(
                f"is of schema {found.schema}",
                file=self._file,
                cure="Use one version of testbed for one state folder",
            )
        return found

    def _write(self, fresh: LeaseFile, mode: int) -> None:
        partial = self.folder / f"leases.{os.getpid()}.partial"
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            os.fchmod(fd, mode)
            with open(fd, "wb", closefd=False) as file:
                file.write(msgspec.json.format(msgspec.json.encode(fresh), indent=1) + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        partial.replace(self._file)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _unusable(self, error: OSError) -> StoreError:
        return StoreError(
            f"leases cannot be kept here: {error.strerror}",
            file=self.folder,
            cure="Give the lab file a `state` folder that you may write",
        )


class _Change:
    """What a caller of `LeaseStore._changing` works on."""

    def __init__(self, boards: dict[str, BoardLeases], now: Instant) -> None:
        self.boards = boards
        self.now = now

    def of(self, resource: str) -> BoardLeases:
        return self.boards.get(resource, BoardLeases())
