"""The SSH link: OpenSSH where it is installed, paramiko everywhere; one configuration, one behaviour."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from drivers.links.endpoint import SshConfig
from drivers.links.ssh_openssh import OpenSshLink
from drivers.links.ssh_paramiko import ParamikoLink
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.ports import Link

__all__ = ["SshConfig", "choose_transport", "ssh_link"]


def choose_transport(config: SshConfig) -> str:
    """``openssh`` or ``paramiko``.

    Raises:
        ConfigError: OpenSSH is asked for and not installed.
    """
    installed = shutil.which("ssh") is not None
    if config.transport == "openssh" and not installed:
        cure = 'Install an OpenSSH client, or write transport = "paramiko"'
        raise ConfigError("there is no ssh program on the PATH", key="transport", cure=cure)
    if config.transport == "auto":
        return "openssh" if installed else "paramiko"
    return config.transport


def ssh_link(config: SshConfig, argv: Sequence[str]) -> Link:
    """A link to the standard input and output of ``argv`` on the board.

    Raises:
        ConfigError: the transport asked for is not installed.
    """
    return OpenSshLink(config, argv) if choose_transport(config) == "openssh" else ParamikoLink(config, argv)
