"""SSH by the system's OpenSSH client: honours the user's ssh_config, agent and jump hosts.

With a pinned fingerprint the host key is fetched first (without logging in), compared, and handed to the client as
the only key it may accept. The client says on standard error how it fares; ``LogLevel=VERBOSE`` makes it tell when
the login succeeded. Source: ssh(1), ssh_config(5), and the messages of OpenSSH 7.6 to 9.9.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.links.endpoint import resolve
from drivers.links.health import Sign
from drivers.links.hostkey import FAMILIES
from drivers.links.login import hang_up, verify
from drivers.links.process import ChildLink
from testbed.errors import HostKeyError, LinkError
from testbed.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.links.endpoint import SshConfig

_SEEN = re.compile(rb"(SHA256:[A-Za-z0-9+/=]+)")
_ALIAS = "testbed-pinned"
_TRIAL_S = 5.0
_CURES = (
    ("Could not resolve hostname", "Correct `host`, or use the address"),
    ("Connection refused", "See whether an SSH server runs there and `port` is right"),
    ("Permission denied", "Add your public key to ~/.ssh/authorized_keys on the board, or set `identity`"),
    ("timed out", "See whether the board is powered and on the network"),
    ("No route to host", "See whether the board is powered and on the network"),
)


@cache
def _with_us() -> tuple[str, ...]:
    """What has the client end when this process is killed, where that can be had: util-linux 2.33 on Linux.

    The end of its input is not enough: it then waits for the command's end, and on a dead network for its answer.
    Source: setpriv(1), ``--pdeathsig``; a process keeps it over execve(2).
    """
    prefix = ("setpriv", "--pdeathsig", "TERM")
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True, timeout=_TRIAL_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return prefix if done.returncode == 0 else ()


class OpenSshLink(ChildLink):
    """One remote command whose standard input and output are the line."""

    def __init__(self, config: SshConfig, argv: Sequence[str], *, stall_s: float = 30.0) -> None:
        """Not connected yet; ``argv`` is run on the board."""
        self._config = config
        self._command = shlex.join(argv)  # SSH carries one string, which the board's shell splits again
        super().__init__(config.name, grace_s=1.0, stall_s=stall_s)
        self._private = ExitStack()

    async def open(self) -> None:
        """Start the client and wait until it has logged in.

        Raises:
            HostKeyError: the host key is not the one to trust.
            LinkError: unreachable, refused, or time-out.
        """
        await self.close()
        trust: list[str] = []
        if self._config.fingerprint:
            trust = await asyncio.to_thread(self._pin)
        self._child = self._fresh()
        try:
            ahead = await asyncio.to_thread(_with_us)
            await self._child.start([*ahead, *self._argv(trust)])
            await self._wait_for_login()
        except BaseException:
            await self.close()
            raise
        self._child.valve.note(Sign.OPENED)
        if self._child.returncode is not None:
            self._child.finish()

    def _argv(self, trust: Sequence[str]) -> list[str]:
        c = self._config
        options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "LogLevel=VERBOSE",
            "FingerprintHash=sha256",
            f"ConnectTimeout={max(1, round(c.connect_timeout_s))}",
            f"ServerAliveInterval={c.keepalive_s}",
            "ServerAliveCountMax=3",
            "TCPKeepAlive=yes",
            "ControlPath=none",  # a shared connection would mix our times with those of other sessions
            "ClearAllForwardings=yes",
            "RequestTTY=no",
            *trust,
        ]
        if c.known_hosts and not trust:
            options += [
                f"UserKnownHostsFile={Path(c.known_hosts).expanduser()}",
                "GlobalKnownHostsFile=/dev/null",
            ]
        argv = ["ssh", "-T"]
        for option in options:
            argv += ["-o", option]
        if c.identity:
            argv += ["-i", str(Path(c.identity).expanduser()), "-o", "IdentitiesOnly=yes"]
        if c.user:
            argv += ["-l", c.user]
        if c.port:
            argv += ["-p", str(c.port)]
        if c.jump:
            argv += ["-J", c.jump]
        return [*argv, "--", c.host, self._command]

    def _pin(self) -> list[str]:
        """Fetch and compare the host key; options that make the client accept this key only."""
        transport = verify(self._config, resolve(self._config))
        key = transport.get_remote_server_key()
        hang_up(transport)
        path = self._private.enter_context(scratch_folder()) / "known_hosts"
        path.write_text(f"{_ALIAS} {key.get_name()} {key.get_base64()}\n")
        kinds = FAMILIES[2] if key.get_name() == "ssh-rsa" else (key.get_name(),)
        return [
            f"HostKeyAlias={_ALIAS}",
            f"UserKnownHostsFile={path}",
            "GlobalKnownHostsFile=/dev/null",
            "CheckHostIP=no",
            "UpdateHostKeys=no",
            "VerifyHostKeyDNS=no",
            f"HostKeyAlgorithms={','.join(kinds)}",
        ]

    async def _wait_for_login(self) -> None:
        child, seconds = self._child, 2 * self._config.connect_timeout_s + 1
        try:
            async with asyncio.timeout(seconds):
                while b"Authenticated to " not in child.stderr:
                    if child.returncode is not None:
                        await asyncio.sleep(0.1)  # its last words may still be in the pipe
                        raise await self._explain()
                    child.news.clear()
                    await child.news.wait()
        except TimeoutError as error:
            cure = "See whether the board is powered and on the network"
            raise LinkError(f"no login within {seconds:g} s", link=self.name, cure=cure) from error

    async def _explain(self) -> LinkError:
        """What the client's last words mean."""
        said = self._child.stderr
        if b"Host key verification failed" in said or b"host key is known" in said:
            found = _SEEN.search(said)
            if found:
                expected = self._config.fingerprint or "another key in known_hosts"
                return HostKeyError(link=self.name, seen=found[1].decode(), expected=expected)
            try:  # an unknown key is refused without being shown: look at it
                transport = await asyncio.to_thread(lambda: verify(self._config, resolve(self._config)))
            except LinkError as error:
                return error
            hang_up(transport)
        text = said.decode(errors="replace")
        noise = ("Transferred:", "Bytes per", "Warning:")
        lines = [line for line in text.strip().splitlines() if not line.startswith(noise)]
        cure = next((cure for sign, cure in _CURES if sign in text), "")
        return LinkError(
            lines[-1].strip() if lines else "ssh ended without a word", link=self.name, cure=cure
        )

    async def close(self) -> None:
        """End the client, within a few seconds."""
        await self._child.stop()
        self._private.close()
