from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest

from drivers.links.deploy import Deployer
from drivers.links.endpoint import SshConfig
from drivers.virtual.far_side import FarSide
from drivers.virtual.machine.config import MachineConfig
from testbed.errors import HostKeyError, LinkError

Talk = Callable[[SshConfig], None]


def through(folder: Path, talk: Talk, *, orders: tuple[str, ...] = (), **changes: str) -> None:
    """Start a host, give it orders, then talk to it from a thread."""

    async def main() -> None:
        far = FarSide(
            "ssh_host",
            MachineConfig(name="board", root=folder / "root", seed=1, profiles={}, boot_ms=20),
            folder / "machine.json",
        )
        await far.start()
        try:
            for order in orders:
                await far.order(order)
            offer = {name: far.offer[name] for name in ("port", "user", "identity", "fingerprint")}
            await asyncio.to_thread(talk, SshConfig(host="127.0.0.1", **{**offer, **changes}))
        finally:
            await far.stop()

    asyncio.run(main())


def test_files_and_commands_share_the_boards_own_tree(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 300)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()

    def talk(config: SshConfig) -> None:
        with Deployer(config) as deployer:
            assert deployer.push(file, ".cache/testbed/file", digest)
            assert not deployer.push(file, ".cache/testbed/file", digest)
            assert deployer.run(["sha256sum", ".cache/testbed/file"]).out.startswith(digest)
            assert deployer.run(["sh", "-c", "id"]).status == 127
            files = deployer._files()
            assert files.normalize(".") == "/home/testbed"
            with pytest.raises(OSError, match="No such file"):
                files.stat("../../../../etc/passwd")

    through(tmp_path, talk)
    assert (tmp_path / "root/home/testbed/.cache/testbed/file").read_bytes() == file.read_bytes()


def test_another_key_is_refused_on_either_side(tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    paramiko.ECDSAKey.generate().write_private_key_file(str(stranger))

    def as_stranger(config: SshConfig) -> None:
        with pytest.raises(LinkError), Deployer(config):
            pass

    def expecting_another(config: SshConfig) -> None:
        with pytest.raises(HostKeyError) as caught, Deployer(config):
            pass
        assert caught.value.seen.startswith("SHA256:")

    through(tmp_path, as_stranger, identity=str(stranger))
    through(tmp_path, expecting_another, fingerprint="SHA256:" + "A" * 43)


def test_after_a_reboot_it_is_the_same_host_at_the_same_port(tmp_path: Path) -> None:
    def talk(config: SshConfig) -> None:
        with Deployer(config) as deployer:
            assert deployer.run(["true"]).status == 0

    through(tmp_path, talk, orders=("reboot", "cut", "kill_agent", "reboot"))


def test_the_clients_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    def talk(config: SshConfig) -> None:
        assert config.identity is not None
        assert stat.S_IMODE(Path(config.identity).stat().st_mode) == 0o600

    through(tmp_path, talk)
