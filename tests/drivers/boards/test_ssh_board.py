from __future__ import annotations

import shutil
import stat
import sys

import msgspec
import pytest

from drivers.boards.agent_file import agent_name
from drivers.boards.board import AgentBoard
from drivers.boards.ssh_board import SshOptions, check_python, ssh_composition
from drivers.links.deploy import CommandResult
from testbed.contracts.board import BoardContract, Listener
from testbed.errors import BoardError, ConfigError, HostKeyError, LeaseError
from testbed.model.event import BoardDown
from testbed.units import S


class SshBoardContract(BoardContract):
    transport = "paramiko"

    @pytest.fixture
    def options(self, ssh_server, tmp_path):
        return SshOptions(
            host="127.0.0.1",
            port=ssh_server.port,
            user="tester",
            identity=str(ssh_server.identity),
            fingerprint=ssh_server.host_key.get_fingerprint(),
            transport=self.transport,
            python=sys.executable,
            folder=str(tmp_path / "board"),
        )

    @pytest.fixture
    def board(self, options, make_spec):
        spec = make_spec("ssh")
        return AgentBoard(spec, ssh_composition(spec, options))

    @pytest.fixture
    def kill(self, ssh_server):
        return ssh_server.cut


class TestBoardByParamiko(SshBoardContract):
    pass


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client is installed here")
class TestBoardByOpenSsh(SshBoardContract):
    transport = "openssh"


def options_for(ssh_server, folder, **changes):
    fields = {
        "host": "127.0.0.1",
        "port": ssh_server.port,
        "user": "tester",
        "identity": str(ssh_server.identity),
        "fingerprint": ssh_server.host_key.get_fingerprint(),
        "python": sys.executable,
        "folder": str(folder),
    }
    return SshOptions(**fields | changes)


async def test_the_agent_is_deployed_for_the_user_alone_and_only_once(ssh_server, make_spec, tmp_path):
    spec, folder = make_spec("ssh"), tmp_path / "board"
    parts = ssh_composition(spec, options_for(ssh_server, folder))
    for finding in ("uploaded", "is there already"):
        (step,) = [probe for probe in parts.probes if probe.step == "deployment"]
        assert finding in await step.look()
    file = folder / agent_name()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_wrong_host_key_is_refused_with_the_one_seen(ssh_server, make_spec, tmp_path):
    spec = make_spec("ssh")
    options = options_for(ssh_server, tmp_path / "board", fingerprint="SHA256:" + "x" * 43)
    with pytest.raises(HostKeyError, match="SHA256:"):
        await AgentBoard(spec, ssh_composition(spec, options)).open(Listener())
    assert not (tmp_path / "board").exists()


class Old:
    """A board that answers what it is told to."""

    def __init__(self, *answer):
        self.answer = CommandResult(*answer)

    def run(self, argv):
        return self.answer


def test_python_before_3_8_is_refused_with_a_cure():
    with pytest.raises(BoardError, match=r"3\.6\.9") as caught:
        check_python(Old(0, "3.6.9\n", ""), "python3", "b")
    assert "3.8" in caught.value.cure
    with pytest.raises(BoardError, match="not found"):
        check_python(Old(127, "", "python3: not found"), "python3", "b")
    assert check_python(Old(0, "3.8.0\n", ""), "python3", "b") == "3.8.0"


def test_provider_and_threads_go_to_onnxruntime_only(ssh_server, make_spec, tmp_path):
    spec = make_spec("ssh")
    options = options_for(ssh_server, tmp_path, provider="CUDAExecutionProvider", threads=2)
    parts = ssh_composition(spec, options)
    assert parts.load_options(spec.models["quick"]) == {}
    forced = ssh_composition(spec, options_for(ssh_server, tmp_path, threads=2, runtime="onnxruntime"))
    assert forced.load_options(spec.models["quick"]) == {"threads": 2}


MD5 = "a0:31:ec:78:8e:e1:26:4e:21:99:15:e1:c8:b6:33:f9"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("MD5:" + MD5, "is an MD5 fingerprint"),
        (MD5, "is an MD5 fingerprint"),
        ("MD5:aa:bb", "is no fingerprint"),
        ("SHA256:abc", "is no fingerprint"),
        ("SHA256:" + "x" * 43 + "=", "is no fingerprint"),
    ],
)
def test_a_fingerprint_of_another_kind_is_an_error_of_the_lab_file(
    ssh_server, make_spec, tmp_path, text, says
):
    with pytest.raises(ConfigError, match=f"{says} of a host key; only SHA-256 is taken") as caught:
        ssh_composition(make_spec(), options_for(ssh_server, tmp_path, fingerprint=text))
    assert caught.value.key.endswith(".fingerprint")
    assert "ssh-keygen -lf KEY.pub -E sha256" in caught.value.cure


def test_a_transport_that_is_not_installed_is_an_error_of_the_lab_file(
    ssh_server, make_spec, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        ssh_composition(make_spec("ssh"), options_for(ssh_server, tmp_path, transport="openssh"))
    assert caught.value.key == "boards.board.transport"
    assert caught.value.cure


def test_a_board_has_one_name_whoever_asks(ssh_server, make_spec, tmp_path):
    here = f"ssh://127.0.0.1:{ssh_server.port}"
    first = ssh_composition(make_spec("ssh"), options_for(ssh_server, tmp_path / "a"))
    other = ssh_composition(make_spec("ssh"), options_for(ssh_server, tmp_path / "b", user="somebody"))
    assert first.resource() == other.resource() == here
    behind = options_for(ssh_server, tmp_path, host="Orin.LAB", port=22, jump="gate")
    part = ssh_composition(make_spec("ssh"), behind, part="gpu1")
    assert part.resource() == "ssh://gate>orin.lab:22/gpu1"


async def test_a_stale_holder_is_refused_by_the_board_itself(ssh_server, make_spec, tmp_path):
    """Two coordinators that know nothing of each other, one board."""

    def coordinator(holder, fence):
        spec = msgspec.structs.replace(
            make_spec("ssh"), fence=fence, holder=holder, issuer=f"store of {holder}"[-16:], ttl=60 * S
        )
        return AgentBoard(
            spec, ssh_composition(spec, options_for(ssh_server, tmp_path / "board"))
        ), Listener()

    ann, heard = coordinator("ann", 5)
    await ann.open(heard)
    bob, _ = coordinator("bob", 6)
    with pytest.raises(LeaseError, match="ann holds this board") as caught:
        await bob.open(Listener())
    assert caught.value.code == "busy"
    await ann.close()
    bob, news = coordinator("bob", 6)
    await bob.open(news)
    late, _ = coordinator("ann", 5)
    with pytest.raises(LeaseError, match="older than 6, which this board obeys: bob"):
        await late.open(Listener())
    # The same lab's next holder need not wait: its issuer knows that this lease is over. Whoever is stale is stopped.
    spec = msgspec.structs.replace(
        make_spec("ssh"), fence=7, holder="carl", issuer="store of bob"[-16:], ttl=60 * S
    )
    carl = AgentBoard(spec, ssh_composition(spec, options_for(ssh_server, tmp_path / "board")))
    await carl.open(Listener())
    await news.until(lambda: any(e.taken for e in news.of(BoardDown)), 20)
    await carl.close()
    await bob.close()
