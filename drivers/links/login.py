"""A verified and authenticated SSH connection by paramiko; blocking, so for threads only."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
import paramiko
from paramiko.pkey import UnknownKeyType

from drivers.links.endpoint import Endpoint, SshConfig, resolve
from drivers.links.hostkey import NoSuchKeyError, accepts, dial, greet, known_keys, refusal, wanted_kinds
from testbed.errors import HostKeyError, LinkError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator


def log_in(config: SshConfig) -> paramiko.Transport:
    """Connect through the jump hosts, check the host key, prove who we are.

    Closing the transport closes the hops before it. Every phase is bounded by ``connect_timeout_s``.

    Raises:
        HostKeyError: the host key is not the one to trust; nothing was sent.
        LinkError: anything else that keeps us out.
    """
    endpoint = resolve(config)
    transport = verify(config, endpoint)
    try:
        _authenticate(config, endpoint, transport)
    except LinkError:
        hang_up(transport)
        raise
    transport.set_keepalive(config.keepalive_s)
    return transport


def hang_up(transport: paramiko.Transport) -> None:
    """Close a connection and the hops before it."""
    transport.close()
    hop = getattr(transport.sock, "transport", None)
    if isinstance(hop, paramiko.Transport):
        hang_up(hop)


def verify(config: SshConfig, endpoint: Endpoint) -> paramiko.Transport:
    """A connection whose host key is accepted, not logged in.

    Raises:
        HostKeyError: none of the server's keys is the one to trust.
        LinkError: it cannot be reached.
    """
    trusted = known_keys(config, endpoint) if not config.fingerprint else {}
    refused: HostKeyError | None = None
    for kinds in wanted_kinds(config, trusted):
        try:
            transport = greet(config, _carrier(config, endpoint), kinds)
        except NoSuchKeyError:
            continue
        seen = transport.get_remote_server_key()
        if accepts(config, trusted, seen):
            return transport
        hang_up(transport)
        refused = refused or refusal(config, trusted, seen)
    if refused is not None:
        raise refused
    raise LinkError("the server offers no host key of a kind we know", link=config.name)


def _carrier(config: SshConfig, endpoint: Endpoint) -> socket.socket | paramiko.Channel:
    """A TCP connection, or a channel through the last hop."""
    if not endpoint.jump:
        return dial(config, endpoint)
    *before, last = endpoint.jump
    user, _, address = last.rpartition("@")
    host, _, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "")
    hop = msgspec.structs.replace(
        config,
        host=host.strip("[]"),
        port=int(port) if port else None,
        user=user or None,
        fingerprint=None,  # the pin is the board's; a hop is recognised by known_hosts
        jump=",".join(before),
    )
    transport = log_in(hop)
    try:
        return transport.open_channel(
            "direct-tcpip", (endpoint.host, endpoint.port), ("127.0.0.1", 0), timeout=config.connect_timeout_s
        )
    except (paramiko.SSHException, OSError, EOFError) as error:
        hang_up(transport)
        text = f"the jump host does not reach {endpoint.host} port {endpoint.port}: {error}"
        raise LinkError(text, link=config.name) from error


def _authenticate(config: SshConfig, endpoint: Endpoint, transport: paramiko.Transport) -> None:
    tried: list[str] = []
    for label, key in _keys(config, endpoint, tried):
        try:
            left = transport.auth_publickey(endpoint.user, key)
        except paramiko.BadAuthenticationType as error:
            text = f"the server takes {', '.join(error.allowed_types)}, not keys"
            raise LinkError(
                text, link=config.name, cure="Allow public keys in the board's sshd_config"
            ) from error
        except paramiko.AuthenticationException:
            tried.append(label)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise LinkError(f"logging in failed: {error}", link=config.name) from error
        else:
            if left:
                text = f"the server wants more than a key: {', '.join(left)}"
                raise LinkError(text, link=config.name, cure="Allow public keys alone for this user")
            return
    shown = f"none of {', '.join(tried)} was accepted" if tried else "there is no key to try"
    cure = f"Add your public key to ~/.ssh/authorized_keys of {endpoint.user} on the board, or set `identity`"
    raise LinkError(f"user {endpoint.user} cannot log in: {shown}", link=config.name, cure=cure)


def _keys(config: SshConfig, endpoint: Endpoint, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    """The named key first; the agent's and the usual files only where none is named."""
    if config.identity and not endpoint.identities:
        raise LinkError(
            f"there is no key file {config.identity}", link=config.name, cure="Correct `identity`"
        )
    if not config.identity:
        with contextlib.suppress(paramiko.SSHException):  # an agent that answers nonsense is no agent
            for held in paramiko.Agent().get_keys():
                yield f"agent key {held.fingerprint}", held
    for path in endpoint.identities:
        try:
            key = paramiko.PKey.from_path(path)
        except (TypeError, paramiko.PasswordRequiredException):
            tried.append(f"{path} (has a passphrase: add it to the agent)")
        except (OSError, ValueError, paramiko.SSHException, UnknownKeyType) as error:
            tried.append(f"{path} ({error})")
        else:
            yield str(path), key
