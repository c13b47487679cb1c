"""Brings a file to a board over SFTP when the board's copy differs; the host key is verified as for the link.

The upload goes to a temporary name and is renamed, so a cut connection leaves the old file or none, never half a
one. Blocking, so for threads only. Source of the rename: OpenSSH's ``posix-rename@openssh.com`` extension.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import shlex
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import paramiko
from msgspec import Struct

from drivers.links.login import hang_up, log_in
from testbed.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from drivers.links.endpoint import SshConfig

_COMMAND_S = 15.0
_MAX_OUTPUT = 1 << 20
_HEX = re.compile(r"\b([0-9a-f]{64})\b")


class CommandResult(Struct, frozen=True):
    """What a command on the board gave back: exit status, standard output and error."""

    status: int
    out: str
    err: str


class Deployer:
    """An open connection for commands and files; use it as a context manager.

    Raises, in all methods, `LinkError` only.
    """

    def __init__(self, config: SshConfig) -> None:
        """Not connected yet."""
        self._config = config
        self._transport: paramiko.Transport | None = None
        self._sftp: paramiko.SFTPClient | None = None

    def __enter__(self) -> Deployer:
        """Connect, verify, log in."""
        self._transport = log_in(self._config)
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        if self._transport is not None:
            hang_up(self._transport)
            self._transport = None

    @property
    def transport(self) -> paramiko.Transport:
        """The connection."""
        if self._transport is None:
            raise LinkError("not connected", link=self._config.name)
        return self._transport

    def run(self, argv: Sequence[str], *, limit_s: float = _COMMAND_S) -> CommandResult:
        """Run a command on the board and wait for it, at most ``limit_s``."""
        with self._translated(f"running {argv[0]}"):
            channel = self.transport.open_session(timeout=self._config.connect_timeout_s)
            with contextlib.closing(channel):
                channel.settimeout(limit_s)
                channel.exec_command(shlex.join(argv))
                channel.shutdown_write()
                return _collect(channel, time.monotonic() + limit_s)

    def hash_of(self, remote: str) -> str | None:
        """SHA-256 of a file on the board, by its own ``sha256sum`` or else read back; ``None`` if it is not there."""
        done = self.run(["sha256sum", "--", remote])
        found = _HEX.search(done.out)
        if done.status == 0 and found:
            return found[1]
        with self._translated(f"reading {remote}"):
            try:
                with self._files().open(remote, "rb") as file:
                    file.prefetch()
                    digest = hashlib.sha256()
                    while part := file.read(1 << 15):
                        digest.update(part)
                    return digest.hexdigest()
            except FileNotFoundError:
                return None

    def push(self, local: Path, remote: str, sha256: str, *, mode: int = 0o600) -> bool:
        """Make ``remote`` the file with this hash; whether an upload was needed.

        Args:
            local: the file here.
            remote: absolute, or relative to the user's home on the board; folders are made, for the user alone.
            sha256: what it must hash to, hexadecimal; checked here before and there after.
            mode: permissions of the file.

        Raises:
            LinkError: the file here is another one, or what arrived is.
        """
        if self.hash_of(remote) == sha256:
            return False
        data = local.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise LinkError(
                f"{local} does not hash to {sha256}", link=self._config.name, cure="Build it again"
            )
        temporary = f"{remote}.{secrets.token_hex(4)}.part"
        with self._translated(f"writing {remote}"):
            files = self._files()
            self._make_folders(files, PurePosixPath(remote).parent)
            try:
                with files.open(temporary, "wb") as file:
                    file.set_pipelined(True)
                    file.chmod(mode)
                    for at in range(0, len(data), 1 << 15):
                        file.write(data[at : at + (1 << 15)])
                _rename(files, temporary, remote)
            except (OSError, paramiko.SSHException):
                with contextlib.suppress(OSError, paramiko.SSHException):  # what matters is the first error
                    files.remove(temporary)
                raise
        if self.hash_of(remote) != sha256:
            raise LinkError(
                f"{remote} arrived damaged", link=self._config.name, cure="See whether the disk is full"
            )
        return True

    def _files(self) -> paramiko.SFTPClient:
        if self._sftp is None:
            self._sftp = paramiko.SFTPClient.from_transport(self.transport)
            if self._sftp is None:
                raise LinkError("the board offers no SFTP", link=self._config.name)
            channel = self._sftp.get_channel()
            if channel is not None:
                channel.settimeout(_COMMAND_S)
        return self._sftp

    def _make_folders(self, files: paramiko.SFTPClient, folder: PurePosixPath) -> None:
        missing = []
        while folder.name and not _exists(files, str(folder)):
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            files.mkdir(str(each), 0o700)

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (paramiko.SSHException, OSError, EOFError) as error:
            why = str(error) or type(error).__name__
            cure = "See whether the user may do this there, the disk has room, and sshd allows sftp"
            raise LinkError(
                f"{doing} on the board failed: {why}", link=self._config.name, cure=cure
            ) from error


def push(config: SshConfig, local: Path, remote: str, sha256: str, *, mode: int = 0o600) -> bool:
    """`Deployer.push` over a connection of its own.

    Raises:
        LinkError: it cannot be brought there.
    """
    with Deployer(config) as deployer:
        return deployer.push(local, remote, sha256, mode=mode)


def _collect(channel: paramiko.Channel, limit: float) -> CommandResult:
    out, err = bytearray(), bytearray()
    channel.settimeout(0.2)
    while time.monotonic() < limit:
        while channel.recv_stderr_ready() and (part := channel.recv_stderr(1 << 15)):
            err += part
        try:
            part = channel.recv(1 << 15)
        except TimeoutError:
            continue
        out += part
        if len(out) > _MAX_OUTPUT:
            raise OSError(f"more than {_MAX_OUTPUT} bytes of output")
        if not part and channel.exit_status_ready():
            while channel.recv_stderr_ready() and (part := channel.recv_stderr(1 << 15)):
                err += part
            status = channel.recv_exit_status()
            return CommandResult(status, out.decode(errors="replace"), err.decode(errors="replace"))
        if not part:
            time.sleep(0.01)  # the output ended and the status is still on its way
    raise TimeoutError("it did not end in time")


def _exists(files: paramiko.SFTPClient, path: str) -> bool:
    try:
        files.stat(path)
    except FileNotFoundError:
        return False
    return True


def _rename(files: paramiko.SFTPClient, old: str, new: str) -> None:
    """Replace at once where the server can; older servers need the old file out of the way first."""
    try:
        files.posix_rename(old, new)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            files.remove(new)
        files.rename(old, new)
