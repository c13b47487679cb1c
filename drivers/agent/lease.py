"""Whose board this is: one lease for all agents of a state folder, kept on the board's disk.

Over SSH every run starts an agent of its own, so what one process remembers is not enough. In the state folder:

``lease``         JSON: token, issuer and holder of the newest claim obeyed, how long its silence may last, whether it
                  is over, when its agent left and on which boot. Replaced as a whole, on disk before it counts.
``lease.lock``    held (flock) while ``lease`` is looked at and changed.
``lease.charge``  held (flock) by the agent in charge until it ends, its process id inside. The kernel lets go when
                  that process is gone, however it went, and with it whatever it was executing.

==================================  ==================================================================================
a claim with                        is
==================================  ==================================================================================
an older token                      refused (``fence``): a newer holder has had the board
the same token                      taken: the same holder again, after its link was cut
a higher one of the same issuer     taken: the issuer vouches that the older lease is over
a higher one of another issuer      taken once the older lease is over, refused (``busy``) before: by its holder's
                                    goodbye, or by silence for its ``ttl_ns``
==================================  ==================================================================================

Taken means: whatever agent was in charge has *ended* (asked to, then killed) before this one answers. There is no
moment in which both execute. A holder's silence counts in the agent in charge while that runs; from when it left; or,
if it was killed or the board was restarted, from the first claim that finds nobody in charge.

The folder is this machine's own (`drivers.agent.program`), also where boards share a home directory. Limits: agents
that run under different accounts have different state folders and do not see each other. Times are those of the clock
that goes on while the board is suspended. Source: flock(2), clock_gettime(2) ``CLOCK_BOOTTIME``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from drivers.agent.facts import boot_id
from testbed.errors import TestbedError
from testbed.wire.messages import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testbed.wire.claim import Claim

_LOCK_SECONDS = 5.0  # another agent may be taking over, which is bounded too
_LEAVE_SECONDS = 0.5  # whoever holds the lock now may be waiting for this very process to end
_POLL_SECONDS = 0.005
_SECOND = 1_000_000_000


class LeaseBusyError(TestbedError):
    """The lease could not be looked at in time, or the agent in charge cannot be ended."""


class _Kept(NamedTuple):
    """What stands in ``lease``; ``left_ns`` is negative while nobody has left on boot ``boot``."""

    token: int = 0
    issuer: str = ""
    holder: str = ""
    ttl_ns: int = 0
    over: bool = True
    left_ns: int = -1
    boot: str = ""


def boot_ns() -> int:
    """Nanoseconds since this boot, suspended time included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class BoardLease:
    """The lease of one state folder, as one agent process sees it. Not thread-safe: the reader's alone."""

    def __init__(
        self,
        folder: Path,
        *,
        now_ns: Callable[[], int] = boot_ns,
        boot: Callable[[], str] = boot_id,
        patience_s: float = 3.0,
    ) -> None:
        """Use ``folder``, made if missing; an agent in charge is asked to end, and killed after ``patience_s``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = folder / "lease"
        self._now_ns = now_ns
        self._boot = boot()
        self._patience_s = patience_s
        self._charge = -1
        self._token = 0

    def admit(self, claim: Claim, *, heard: bool = False) -> Refused | None:
        """Take the board over for a claim, or say why not.

        Args:
            claim: of the Hello.
            heard: if this very agent is in charge: its holder's silence has not lasted too long.

        Raises:
            OSError: the lease cannot be kept on disk, so it must not be obeyed.
        """
        try:
            with self._locked(_LOCK_SECONDS):
                kept = self._read()
                if (claim.token, claim.issuer) != (kept.token, kept.issuer) and claim.token <= kept.token:
                    text = f"token {claim.token} is older than {kept.token}, which this board obeys"
                    return Refused("fence", text + (f": {kept.holder}" if kept.holder else ""))
                if claim.token > kept.token and claim.issuer != kept.issuer and not kept.over:
                    why = self._still_held(kept, heard)
                    if why:
                        return Refused("busy", why)
                self._take_charge()
                fresh = _Kept(claim.token, claim.issuer, claim.holder, claim.ttl_ns, over=False)
                if fresh != kept:
                    self._write(fresh)
                self._token = claim.token
        except LeaseBusyError as error:
            return Refused("busy", error.message)
        return None

    def leave(self, *, over: bool) -> None:
        """Note that the holder has said goodbye (``over``), or that its link has ended.

        The agent stays in charge until it ends: something may still execute.

        Raises:
            OSError: that cannot be kept on disk; the silence counts from the next claim then.
        """
        if self._charge < 0:
            return
        with contextlib.suppress(LeaseBusyError), self._locked(_LEAVE_SECONDS):
            kept = self._read()
            if kept.token == self._token:
                self._write(kept._replace(over=over, left_ns=self._now_ns(), boot=self._boot))

    def _still_held(self, kept: _Kept, heard: bool) -> str:
        """Why a lease that nobody has ended is not over by silence; empty if it is."""
        who = kept.holder or "somebody"  # who leases nothing, as a virtual board's run, tells no name
        if self._charge >= 0:
            return f"{who} holds this board" if heard or not kept.ttl_ns else ""
        fd = self._open("lease.charge")
        try:
            if not _try_lock(fd):
                return f"{who} holds this board; its agent is process {_pid_in(fd)}"
        finally:
            os.close(fd)
        if kept.left_ns < 0 or kept.boot != self._boot:
            kept = kept._replace(left_ns=self._now_ns(), boot=self._boot)
            self._write(kept)
        left_ns = kept.left_ns + kept.ttl_ns - self._now_ns()
        return f"{who} holds this board for another {left_ns / _SECOND:.1f} s" if left_ns > 0 else ""

    def _take_charge(self) -> None:
        if self._charge >= 0:
            return
        fd = self._open("lease.charge")
        try:
            if not _try_lock(fd):
                self._end(fd)
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d" % os.getpid(), 0)
        except BaseException:
            os.close(fd)
            raise
        self._charge = fd

    def _end(self, fd: int) -> None:
        """End the agent that holds the lock on ``fd``; returns with the lock."""
        pid = _pid_in(fd)
        if not _has_open(pid, fd):
            if _wait_for_lock(fd, self._patience_s):
                return
            raise LeaseBusyError(f"an agent is in charge that cannot be reached from here (process {pid})")
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
            except PermissionError as error:
                raise LeaseBusyError(f"process {pid} is in charge and not ours to end") from error
            if _wait_for_lock(fd, self._patience_s):
                return
        raise LeaseBusyError(f"the agent in charge (process {pid}) does not end: it hangs in the kernel")

    @contextlib.contextmanager
    def _locked(self, seconds: float) -> Iterator[None]:
        fd = self._open("lease.lock")
        try:
            if not _wait_for_lock(fd, seconds):
                raise LeaseBusyError("another agent is just taking the board over")
            yield
        finally:
            os.close(fd)

    def _open(self, name: str) -> int:
        return os.open(str(self._folder / name), os.O_RDWR | os.O_CREAT, 0o600)

    def _read(self) -> _Kept:
        try:
            told = json.loads(self._file.read_text("utf-8"))
            return _Kept(**{name: type(value)(told[name]) for name, value in _Kept()._asdict().items()})
        except (OSError, ValueError, KeyError, TypeError):
            return _Kept()

    def _write(self, kept: _Kept) -> None:
        """Replace the file so that a power cut leaves the old or the new one, and the new one once this returns."""
        draft = self._file.with_suffix(".part")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(kept._asdict(), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)
        folder = os.open(str(self._folder), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_lock(fd: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not _try_lock(fd):
        if time.monotonic() >= until:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _pid_in(fd: int) -> int:
    try:
        return int(os.pread(fd, 32, 0) or b"0")
    except ValueError:
        return 0


def _has_open(pid: int, fd: int) -> bool:
    """Whether a process has the file open: numbers are used again, and mean another process in another container."""
    ours = os.fstat(fd)
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir()) if pid > 0 else []
    except OSError:
        return False
    for link in links:
        with contextlib.suppress(OSError):  # closed meanwhile
            theirs = link.stat()
            if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino):
                return True
    return False
