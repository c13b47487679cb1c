import os
import subprocess
from pathlib import Path

import pytest

from drivers.virtual.network import tun
from drivers.virtual.network.tun import clear_left, set_up, tear_down, why_not

needs_root = pytest.mark.skipif(bool(why_not()), reason=f"no TUN devices here: {why_not()}")


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


def test_why_not_says_what_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "/dev/net/tun" in why_not()
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in why_not()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(tun.shutil, "which", lambda _: None)
    assert "iproute2" in why_not()


@needs_root
def test_the_board_stands_in_a_net_of_its_own_and_leaves_nothing_behind() -> None:
    made = set_up()
    try:
        assert made.namespace in namespaces()
        shown = subprocess.run(
            ["ip", "-n", made.namespace, "-brief", "address"], capture_output=True, text=True, check=True
        ).stdout
        assert made.board in shown
        assert made.host not in shown.split("peer")[0]
    finally:
        os.close(made.host_fd)
        os.close(made.board_fd)
        tear_down(made.namespace)
    assert made.namespace not in namespaces()


@needs_root
def test_what_a_killed_forwarder_left_is_cleared() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = f"testbed-{gone.pid}"
    subprocess.run(["ip", "netns", "add", left], check=True)
    clear_left()
    assert left not in namespaces()


def test_namespaces_of_others_are_left_alone(tmp_path: Path, monkeypatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr(tun, "tear_down", removed.append)
    for name in (f"testbed-{os.getpid()}", "testbed-999999999", "testbed-x", "other-1"):
        (tmp_path / name).touch()
    clear_left(tmp_path)
    assert removed == ["testbed-999999999"]
