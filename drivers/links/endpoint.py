"""Where an SSH link leads: what the lab file says, completed by the user's ssh_config.

Source: ``ssh -G`` prints the client's configuration for a host, ssh(1); where no OpenSSH client is installed,
paramiko's reader of ``~/.ssh/config``.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import paramiko
from msgspec import Struct

from testbed.errors import LinkError

_ASK_S = 5.0


class SshConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach and recognise a board over SSH.

    Attributes:
        host: name, address, or alias of the user's ssh_config.
        port, user: ``None`` for what ssh_config says, else 22 and the user's own name.
        transport: ``openssh``, ``paramiko``, or ``auto`` for OpenSSH where it is installed.
        identity: private key file; ``None`` for the agent and the usual files.
        known_hosts: file to trust instead of the user's.
        fingerprint: ``SHA256:…`` of the host key; nothing else is trusted then.
        connect_timeout_s: bound of each phase of connecting.
        keepalive_s: period of keep-alive; after three silent ones the link is given up.
        jump: ``[user@]host[:port]``, comma separated, as for ``ssh -J``; ``None`` for what ssh_config says.
    """

    host: str
    port: int | None = None
    user: str | None = None
    transport: Literal["auto", "openssh", "paramiko"] = "auto"
    identity: str | None = None
    known_hosts: str | None = None
    fingerprint: str | None = None
    connect_timeout_s: float = 10.0
    keepalive_s: int = 5
    jump: str | None = None

    @property
    def name(self) -> str:
        """``ssh://[user@]host[:port]``, for errors."""
        user = f"{self.user}@" if self.user else ""
        return f"ssh://{user}{self.host}" + (f":{self.port}" if self.port else "")


class Endpoint(Struct, frozen=True, kw_only=True):
    """A configuration with nothing left open.

    Attributes:
        identities: existing private key files to try. known_hosts: existing files to trust.
        jump: hops before it, nearest first.
    """

    host: str
    port: int
    user: str
    identities: tuple[Path, ...]
    known_hosts: tuple[Path, ...]
    jump: tuple[str, ...]


def resolve(config: SshConfig) -> Endpoint:
    """Complete a configuration; blocks for a local child process at most.

    Raises:
        LinkError: the user's ssh_config cannot be read.
    """
    settings = _ask_openssh(config) if shutil.which("ssh") else _ask_paramiko(config)

    def first(key: str, default: str) -> str:
        return settings.get(key, [default])[0]

    jump = config.jump if config.jump is not None else first("proxyjump", "none")
    identities = [config.identity] if config.identity else settings.get("identityfile", [])
    trusted = [config.known_hosts] if config.known_hosts else _trusted(settings)
    return Endpoint(
        host=first("hostname", config.host),
        port=config.port or int(first("port", "22")),
        user=config.user or first("user", getpass.getuser()),
        identities=_existing(identities),
        known_hosts=_existing(trusted),
        jump=tuple(jump.split(",")) if jump and jump != "none" else (),
    )


def _trusted(settings: dict[str, list[str]]) -> list[str]:
    user = settings.get("userknownhostsfile", ["~/.ssh/known_hosts ~/.ssh/known_hosts2"])[0]
    everybody = settings.get("globalknownhostsfile", ["/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"])[
        0
    ]
    return user.split() + everybody.split()


def _existing(names: list[str]) -> tuple[Path, ...]:
    paths = [Path(name).expanduser() for name in names]
    return tuple(path for path in paths if path.is_file())


def _ask_openssh(config: SshConfig) -> dict[str, list[str]]:
    argv = ["ssh", "-G"]
    if config.user:
        argv += ["-l", config.user]
    if config.port:
        argv += ["-p", str(config.port)]
    try:
        done = subprocess.run(  # argument list, no shell; the host cannot be taken for an option behind "--"
            [*argv, "--", config.host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LinkError(f"ssh -G does not answer: {error}", link=config.name) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise LinkError(
            f"ssh_config: {said}", link=config.name, cure="Correct ~/.ssh/config, or the host's name"
        )
    settings: dict[str, list[str]] = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        key, _, value = line.partition(" ")
        settings.setdefault(key, []).append(value)
    return settings


def _ask_paramiko(config: SshConfig) -> dict[str, list[str]]:
    path = Path("~/.ssh/config").expanduser()
    if not path.is_file():
        found: dict[str, str | list[str]] = {}
    else:
        try:
            found = dict(paramiko.SSHConfig.from_path(str(path)).lookup(config.host))
        except (OSError, paramiko.SSHException) as error:
            raise LinkError(f"{path}: {error}", link=config.name, cure="Correct the file") from error
    settings = {key: value if isinstance(value, list) else [value] for key, value in found.items()}
    usual = [f"~/.ssh/id_{kind}" for kind in ("ed25519", "ecdsa", "rsa")]
    return {"identityfile": usual} | settings
