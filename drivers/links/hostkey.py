"""Whether the other side is who it should be: a pinned fingerprint, or the known_hosts files; nothing is ever added.

Both transports and the deployment pass through here, so that there is one place that trusts.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

import paramiko

from testbed.errors import HostKeyError, LinkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.links.endpoint import Endpoint, SshConfig

FAMILIES = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
"""Signature algorithms, by the kind of key they belong to; a server may hold one key of each kind."""

_LOG = "testbed.links.paramiko"
logging.getLogger(_LOG).addHandler(logging.NullHandler())


def dial(config: SshConfig, endpoint: Endpoint) -> socket.socket:
    """A TCP connection that sends small packets at once and notices a dead peer.

    Raises:
        LinkError: refused, unreachable, unknown name or time-out.
    """
    where = f"{endpoint.host} port {endpoint.port}"
    try:
        sock = socket.create_connection((endpoint.host, endpoint.port), config.connect_timeout_s)
    except socket.gaierror as error:
        cure = "Correct `host`, or use the address"
        raise LinkError(f"{endpoint.host} is no known host name", link=config.name, cure=cure) from error
    except ConnectionRefusedError as error:
        cure = "See whether an SSH server runs there and `port` is right"
        raise LinkError(f"{where} refused the connection", link=config.name, cure=cure) from error
    except TimeoutError as error:
        cure = "See whether the board is powered and on the network"
        text = f"{where} did not answer within {config.connect_timeout_s:g} s"
        raise LinkError(text, link=config.name, cure=cure) from error
    except OSError as error:
        cure = "See whether the board is powered and on the network"
        raise LinkError(f"{where} cannot be reached: {error}", link=config.name, cure=cure) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000 * config.keepalive_s)
    return sock


def greet(
    config: SshConfig, carrier: socket.socket | paramiko.Channel, kinds: Sequence[str]
) -> paramiko.Transport:
    """Exchange keys over a connection, asking for a host key of one of ``kinds``; nobody is logged in yet.

    Raises:
        LinkError: no SSH server there, no common algorithm (`IncompatibleKey`), or time-out.
    """
    try:
        transport = paramiko.Transport(carrier)
    except (paramiko.SSHException, OSError) as error:
        carrier.close()
        raise LinkError(f"SSH did not start: {error}", link=config.name) from error
    transport.set_log_channel(_LOG)
    transport.banner_timeout = transport.auth_timeout = config.connect_timeout_s
    options = transport.get_security_options()
    usable = [kind for kind in kinds if kind in options.key_types]
    if not usable:
        transport.close()
        raise LinkError(f"no host key of kind {', '.join(kinds)} can be checked here", link=config.name)
    options.key_types = tuple(usable)
    try:
        transport.start_client(timeout=config.connect_timeout_s)
    except paramiko.ssh_exception.IncompatiblePeer as error:
        transport.close()
        raise NoSuchKeyError(str(error), link=config.name) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        cure = "See whether that port belongs to an SSH server"
        raise LinkError(f"the SSH greeting failed: {error}", link=config.name, cure=cure) from error
    return transport


class NoSuchKeyError(LinkError):
    """The server has no host key of the kinds that were asked for."""


def known_keys(config: SshConfig, endpoint: Endpoint) -> dict[str, paramiko.PKey]:
    """Keys that the known_hosts files hold for the endpoint, by kind.

    Raises:
        LinkError: a file cannot be read.
    """
    name = endpoint.host if endpoint.port == 22 else f"[{endpoint.host}]:{endpoint.port}"
    found: dict[str, paramiko.PKey] = {}
    for path in endpoint.known_hosts:
        try:
            table = paramiko.HostKeys(str(path)).lookup(name)
        except (OSError, paramiko.SSHException) as error:
            raise LinkError(f"{path} cannot be read: {error}", link=config.name) from error
        for kind, key in (table or {}).items():
            found.setdefault(kind, key)
    return found


def accepts(config: SshConfig, trusted: dict[str, paramiko.PKey], seen: paramiko.PKey) -> bool:
    """Whether a host key is the pinned one or, without a pin, one of the known."""
    if config.fingerprint:
        return bool(seen.fingerprint == config.fingerprint)
    known = trusted.get(seen.get_name())
    return known is not None and known.asbytes() == seen.asbytes()


def wanted_kinds(config: SshConfig, trusted: dict[str, paramiko.PKey]) -> tuple[tuple[str, ...], ...]:
    """What to ask the server for, one greeting each until a key is accepted.

    A pin does not tell its kind, so every kind may have to be seen; known keys tell theirs.
    """
    every = tuple(kind for family in FAMILIES for kind in family)
    if config.fingerprint:
        return (every, *FAMILIES)
    kinds: list[str] = []
    for name in trusted:
        kinds += FAMILIES[2] if name == "ssh-rsa" else [name]
    return (tuple(kinds), every) if kinds else (every,)


def refusal(config: SshConfig, trusted: dict[str, paramiko.PKey], seen: paramiko.PKey) -> HostKeyError:
    """The error for a key that is not accepted."""
    known = trusted.get(seen.get_name())
    expected = config.fingerprint or (str(known.fingerprint) if known is not None else "")
    return HostKeyError(link=config.name, seen=str(seen.fingerprint), expected=expected)
