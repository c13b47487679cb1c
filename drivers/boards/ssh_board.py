"""A board reached over SSH: the agent travels by SFTP when the board's copy differs, then speaks over SSH itself."""

from __future__ import annotations

import asyncio
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from drivers.agent.bundle import agent_source_sha256
from drivers.boards.agent_file import agent_name, pack_agent
from drivers.boards.composition import CommonOptions, Composition, Probe
from drivers.links.deploy import CommandResult, Deployer
from drivers.links.endpoint import SshConfig, resolve
from drivers.links.hostkey import dial
from drivers.links.login import hang_up, verify
from drivers.links.ssh import choose_transport, ssh_link
from testbed.errors import BoardError, ConfigError
from testbed.model.datagrams import LossyOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.model.lab import BoardSpec, ModelFiles
    from testbed.ports import Link

_OLDEST_PYTHON = (3, 8)
_VERSION = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
SHA256_FINGERPRINT = re.compile("SHA256:[A-Za-z0-9+/]{43}")
MD5_FINGERPRINT = re.compile("(MD5:)?[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){15}")
"""The two kinds that OpenSSH prints: base64 of 32 bytes without padding, or 16 bytes in hexadecimal digits."""


class SshOptions(CommonOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a board over SSH; the first ones are those of `SshConfig`.

    Attributes:
        python: interpreter on the board, 3.8 or later.
        folder: where the agent and the models are kept on the board, relative to the user's home.
        provider: onnxruntime execution provider to insist on; ``None`` for the best the board has.
        threads: for each execution; 0 for the runtime's own choice.
        runtime: replaces the runtime that the models name.
        agent_arguments: added to the agent's command line.
        lossy: how orders with lossy transport travel; without it the board takes none.
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
    python: str = "python3"
    folder: str = ".cache/testbed"
    provider: str | None = None
    threads: int = 0
    runtime: str | None = None
    agent_arguments: tuple[str, ...] = ()
    lossy: LossyOptions | None = None

    @property
    def ssh(self) -> SshConfig:
        """The part that concerns the link."""
        names = (field.name for field in msgspec.structs.fields(SshConfig))
        return SshConfig(**{name: getattr(self, name) for name in names})


def ssh_composition(
    spec: BoardSpec,
    options: SshOptions,
    *,
    origin: str = "measured",
    settings: dict[str, str] | None = None,
    before: Callable[[Deployer], None] | None = None,
    probes: tuple[Probe, ...] = (),
    part: str = "",
) -> Composition:
    """The parts of a board over SSH.

    Args:
        spec: from the lab file.
        options: its table.
        origin: of its service times.
        settings: held during the run, put back at its end.
        before: called in a thread over the deployment's connection, before the agent is started.
        probes: further steps for ``doctor``, behind the deployment.
        part: of a host that is several boards, each leased by itself; its agent has a state folder of its own.

    Raises:
        ConfigError: the transport asked for is not installed, or the fingerprint is none.
    """
    config = options.ssh
    if config.fingerprint and not SHA256_FINGERPRINT.fullmatch(config.fingerprint):
        md5 = MD5_FINGERPRINT.fullmatch(config.fingerprint)
        message = f"is {'an MD5' if md5 else 'no'} fingerprint of a host key; only SHA-256 is taken"
        cure = (
            "Write SHA256: and 43 characters, as `ssh-keygen -lf KEY.pub -E sha256` prints them on the board"
        )
        key = f"boards.{spec.id}.fingerprint"
        raise ConfigError(message, file=spec.file, key=key, cure=cure)
    try:
        choose_transport(config)
    except ConfigError as error:
        key = f"boards.{spec.id}.{error.key}"
        raise ConfigError(error.message, file=spec.file, key=key, cure=error.cure) from error
    remote = str(PurePosixPath(options.folder) / agent_name())
    state = str(PurePosixPath(options.folder) / (f"state-{part}" if part else "state"))
    argv = [options.python, remote, "--stdio", "--state", state, *options.agent_arguments]

    def make_link() -> Link:
        return ssh_link(config, argv)

    def deploy() -> bool:
        with Deployer(config) as deployer:
            check_python(deployer, options.python, spec.id)
            uploaded = deployer.push(pack_agent(spec.state), remote, agent_source_sha256(), mode=0o600)
            if before is not None:
                before(deployer)
            return uploaded

    async def prepare() -> None:
        await asyncio.to_thread(deploy)

    def load_options(files: ModelFiles) -> dict[str, Any]:
        if (options.runtime or files.runtime) != "onnxruntime":
            return {}
        wanted = {"provider": options.provider, "threads": options.threads}
        return {name: value for name, value in wanted.items() if value}

    return Composition(
        kind=spec.kind,
        make_link=make_link,
        prepare=prepare,
        probes=(*_way(config, options, spec, deploy), *probes),
        origin=origin,
        agent_sha256=agent_source_sha256(),
        common=options,
        runtime=options.runtime,
        load_options=load_options,
        settings=settings or {},
        resource=lambda: _resource(config, part),
        lossy_orders=options.lossy,
    )


def _resource(config: SshConfig, part: str) -> str:
    """``ssh://[HOP>]HOST:PORT[/PART]``: the same for everybody, whatever alias, user or key leads there."""
    end = resolve(config)
    way = "".join(f"{hop}>" for hop in end.jump)
    return f"ssh://{way}{end.host.lower()}:{end.port}" + (f"/{part}" if part else "")


def check_python(deployer: Deployer, python: str, board: str) -> str:
    """The version of the board's interpreter.

    Raises:
        BoardError: it is missing or too old. LinkError: the board cannot be asked.
    """
    done = deployer.run([python, "-c", _VERSION])
    cure = "Install Python 3.8 or later on the board, or set `python` to its path"
    if done.status != 0:
        said = (done.err or done.out).strip()[:200]
        raise BoardError(f"{python} does not run there: {said}", board=board, cure=cure)
    version = done.out.strip()
    parts = tuple(int(part) for part in version.split(".") if part.isdigit())
    if parts[:2] < _OLDEST_PYTHON:
        raise BoardError(f"{python} is Python {version}", board=board, cure=cure)
    return version


def command_probe(
    step: str, config: SshConfig, argv: list[str], tell: Callable[[CommandResult], str]
) -> Probe:
    """A step that runs a command on the board and tells what came back."""

    def look() -> str:
        with Deployer(config) as deployer:
            return tell(deployer.run(argv))

    return _probe(step, look)


def _way(
    config: SshConfig, options: SshOptions, spec: BoardSpec, deploy: Callable[[], bool]
) -> tuple[Probe, ...]:
    """The steps from the network to the deployed agent."""

    def reach() -> str:
        endpoint = resolve(config)
        if endpoint.jump:
            return f"through {', '.join(endpoint.jump)}"
        dial(config, endpoint).close()
        return f"{endpoint.host} port {endpoint.port} answers"

    def recognise() -> str:
        transport = verify(config, resolve(config))
        seen = transport.get_remote_server_key()
        hang_up(transport)
        return f"{seen.get_name()} {seen.fingerprint} is the one to trust"

    def enter() -> str:
        with Deployer(config) as deployer:
            name = deployer.transport.get_username()
            return f"logged in as {name}; the link uses {choose_transport(config)}"

    def interpret() -> str:
        with Deployer(config) as deployer:
            return f"{options.python} is Python {check_python(deployer, options.python, spec.id)}"

    def install() -> str:
        return f"{agent_name()} {'uploaded' if deploy() else 'is there already'}"

    steps = {
        "network": reach,
        "host key": recognise,
        "login": enter,
        "python": interpret,
        "deployment": install,
    }
    return tuple(_probe(step, look) for step, look in steps.items())


def _probe(step: str, look: Callable[[], str]) -> Probe:
    async def looking() -> str:
        return await asyncio.to_thread(look)

    return Probe(step=step, look=looking)
