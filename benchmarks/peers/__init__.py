"""Takes a running sshd and payloads, gives how long each round trip took: ours, the yardstick, and what others use.

Every peer speaks to the same sshd over a connection of its own. Does not know targets or tables.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Login(Struct, frozen=True, kw_only=True):
    """Where the sshd listens and how to be let in; files are absolute paths."""

    host: str
    port: int
    user: str
    identity: str
    known_hosts: str


class Peer(Protocol):
    """One way of getting a payload to the far side and back."""

    name: str

    async def open(self) -> None:
        """Connect; raises `RuntimeError` with the reason if this peer cannot take part."""

    async def block(self, payload: bytes, n: int) -> list[int]:
        """Round trips one after the other: how long each took [ns]."""

    async def close(self) -> None:
        """Let go."""


def ssh_argv(login: Login, command: str) -> list[str]:
    """The system's ssh client with ``command``'s standard input and output as the line."""
    options = (
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "ControlPath=none",
        "ClearAllForwardings=yes",
        f"UserKnownHostsFile={login.known_hosts}",
        "GlobalKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
    )
    argv = ["ssh", "-F", "none", "-T", "-i", login.identity, "-l", login.user, "-p", str(login.port)]
    return [*argv, *(part for option in options for part in ("-o", option)), "--", login.host, command]
