"""A real OpenSSH sshd on a free loopback port, with keys and configuration of its own, while a benchmark runs."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import Login

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_S = 10.0
_PRIVILEGE_FOLDER = Path("/run/sshd")


class NoSshdError(Exception):
    """There is no usable sshd here; the text says why."""


@contextlib.contextmanager
def running_sshd(folder: Path) -> Iterator[Login]:
    """Start one in ``folder`` as the user who runs this, and end it afterwards.

    Raises:
        NoSshdError: OpenSSH is not installed, or its sshd does not start.
    """
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        raise NoSshdError("OpenSSH's sshd, ssh and ssh-keygen are not all installed (Debian: openssh-server)")
    if os.geteuid() == 0:  # started by root, sshd insists on this folder, which its init script would make
        _PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=30
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host_key = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\n"
        f"AuthorizedKeysFile {folder / 'user.pub'}\nStrictModes no\nPidFile none\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        "MaxSessions 100\nMaxStartups 100\nSubsystem sftp internal-sftp\nPrintMotd no\nUseDNS no\n"
    )
    log = folder / "sshd.log"
    with subprocess.Popen(
        [program, "-D", "-f", str(folder / "sshd_config"), "-E", str(log)], stdin=subprocess.DEVNULL
    ) as server:
        try:
            _wait(server, port, log)
            yield Login(
                host="127.0.0.1",
                port=port,
                user=getpass.getuser(),
                identity=str(folder / "user"),
                known_hosts=str(folder / "known_hosts"),
            )
        finally:
            server.terminate()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.05)
    said = log.read_text(errors="replace").strip()[-300:] if log.exists() else ""
    raise NoSshdError(f"sshd does not start: {said or 'no word from it'}")
