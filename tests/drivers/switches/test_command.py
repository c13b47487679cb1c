from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from drivers.switches.command import CommandOptions, CommandSwitch, command
from testbed.contracts.switch import SwitchContract
from testbed.errors import ConfigError, MeterError
from testbed.model.lab import SwitchSpec

TOOL = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"


def tool(file, text):
    return (sys.executable, "-S", "-c", TOOL, str(file), text)


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "log"
    file.write_text("0")
    return file


class TestCommand(SwitchContract):
    @pytest.fixture
    def switch(self, log):
        return CommandSwitch("hub", CommandOptions(on=tool(log, "1"), off=tool(log, "0"), off_s=0.01))

    @pytest.fixture
    def history(self, log):
        return lambda: [letter == "1" for letter in log.read_text()]

    @pytest.fixture
    def broken(self):
        fails = (sys.executable, "-S", "-c", "import sys; sys.exit('no hub')")
        return CommandSwitch("hub", CommandOptions(on=fails, off=fails, cycle=fails))


async def test_a_program_that_fails_is_quoted(log):
    fails = (sys.executable, "-S", "-c", "import sys; sys.exit('no such hub')")
    with pytest.raises(MeterError, match="hub: .* ended with 1: no such hub"):
        await CommandSwitch("hub", CommandOptions(on=fails, off=fails)).on()
    with pytest.raises(MeterError, match="does not run") as caught:
        await CommandSwitch("hub", CommandOptions(on=("/no/such/program",), off=fails)).on()
    assert caught.value.cure


def await_end(pid):
    """Wait until a process is gone, or dead and not yet waited for."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} still runs")


async def test_one_that_takes_too_long_is_killed_with_its_children(tmp_path):
    pids = tmp_path / "pids"
    hangs = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '99'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(99)\n"
    )
    argv = (sys.executable, "-S", "-c", hangs)
    with pytest.raises(MeterError, match="took longer"):
        await CommandSwitch("hub", CommandOptions(on=argv, off=argv, timeout_s=2.0)).on()
    for pid in pids.read_text().split():
        await_end(int(pid))


async def test_arguments_go_to_the_program_as_they_stand(log):
    text = "$(touch x); `y` 'z' | *"
    await CommandSwitch("hub", CommandOptions(on=tool(log, text), off=tool(log, ""))).on()
    assert log.read_text() == "0" + text


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"on": [], "off": ["x"]}, "switches.hub.on"),
        ({"on": "x on", "off": ["x"]}, "switches.hub.on"),
        ({"on": ["sh"], "off": ["sh"], "timeout_s": 0}, "switches.hub.timeout_s"),
        ({"on": ["sh"], "of": ["sh"]}, "switches.hub.of"),
        ({"on": ["sh"]}, "switches.hub.off"),
        ({"on": ["sh"], "off": ["no-such-program"]}, "switches.hub.off"),
        ({"on": ["sh"], "off": ["sh"], "cycle": ["/no/such/program"]}, "switches.hub.cycle"),
    ],
)
def test_a_wrong_table_names_its_key(options, key):
    with pytest.raises(ConfigError) as caught:
        command(SwitchSpec(name="hub", kind="command", feeds="b", options=options, file=Path("lab.toml")))
    assert caught.value.key == key
