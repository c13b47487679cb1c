import os
import pty
import signal
import sys
import time

import pytest

from drivers.agent.program import main
from testbed.wire import PROTOCOL_VERSION, Role, Session, State
from testbed.wire import messages as m
from tests.drivers.agent.conftest import infer


def test_nothing_printed_reaches_the_wire(agent_pyz, tmp_path):
    from tests.drivers.agent.conftest import Host

    script = tmp_path / "noisy.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(agent_pyz[0])!r})\n"
        "from drivers.agent.program import main\n"
        "from drivers.agent.runtimes.echo import EchoRuntime\n"
        "class Clock:\n"
        "    name = 'skewed'\n"
        "    def now_ns(self): return 42\n"
        "class Noisy(EchoRuntime):\n"
        "    def run(self, *a):\n"
        "        print('stray'); os.write(1, b'native stray'); return super().run(*a)\n"
        "os._exit(main(sys.argv[1:], clock=Clock(), runtimes={'echo': Noisy}, meters={},\n"
        "              facts={'boot_id': 'b', 'board': 'toy'}))\n"
    )
    host = Host([sys.executable, str(script), "--stdio", "--state", str(tmp_path / "s")], cwd=tmp_path)
    try:
        welcome = host.greet(agent_sha256=agent_pyz[1])
        assert (welcome.boot_id, welcome.facts["board"], welcome.facts["clock"]) == ("b", "toy", "skewed")
        host.load()
        host.send(infer(1))
        done = host.expect(m.Done)
        assert (done.received, done.started, done.finished) == (42, 42, 42)
        assert host.session.counts["discarded_bytes"] == 0
    finally:
        host.close()


def test_on_a_tty_it_stays_for_the_next_host(agent_pyz, tmp_path):
    import select
    import subprocess
    import tty

    near, far = pty.openpty()
    tty.setraw(near)
    command = [sys.executable, str(agent_pyz[0]), "--tty", os.ttyname(far), "--baud", "115200"]
    process = subprocess.Popen([*command, "--state", str(tmp_path)], cwd=tmp_path)
    try:
        for number in (1, 2):
            session = Session(Role.HOST, chunk_bytes=256)
            until = time.monotonic() + 40
            tries = number * 10
            while session.state is not State.READY:
                assert time.monotonic() < until
                tries += 1
                session.send(m.Hello(PROTOCOL_VERSION, 1, tries, "", 1 << 20, ""))
                os.write(near, b"noise" + session.data_to_send())
                while session.state is not State.READY and select.select([near], [], [], 2)[0]:
                    session.receive(os.read(near, 4096))
            session.send(m.Bye())
            os.write(near, session.data_to_send())
            while session.state is not State.CLOSED:
                assert select.select([near], [], [], 5)[0]
                session.receive(os.read(near, 4096))
    finally:
        process.kill()
        process.wait()
        os.close(near)
        os.close(far)


@pytest.mark.parametrize(
    "argv", [["--tty", "/dev/does-not-exist"], ["--tty", "/dev/null", "--baud", "12345"]]
)
def test_unusable_arguments_are_told(argv, tmp_path):
    assert main([*argv, "--state", str(tmp_path)]) == 2


def test_a_signal_ends_it_in_order_and_ctrl_c_is_the_host_s_business(start, tmp_path):
    gpu = tmp_path / "root/sys/class/devfreq/gpu"
    gpu.mkdir(parents=True)
    for name, value in (("cur_freq", 5), ("min_freq", 1), ("max_freq", 9)):
        (gpu / name).write_text(f"{value}\n")
    host = start("--sysfs-root", str(tmp_path / "root"))
    host.greet()
    host.send(m.Settings(1, "clock:gpu", "2:2"))
    assert host.expect(m.SettingsReply).ok
    host.process.send_signal(signal.SIGINT)
    host.send(m.Probe(1))
    host.expect(m.ProbeReply)
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(5) == 143
    assert (gpu / "max_freq").read_text() == "9"
