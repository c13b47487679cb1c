import sys

from drivers.agent import facts
from drivers.agent.facts import board_facts
from testbed.wire import PROTOCOL_VERSION


def test_hello_tells_what_the_board_is(start, agent_pyz):
    welcome = start().greet(agent_sha256=agent_pyz[1], fence=3)
    assert (welcome.version, welcome.fence, welcome.agent_sha256) == (PROTOCOL_VERSION, 3, agent_pyz[1])
    assert welcome.max_inflight == 64
    assert welcome.facts["python"] == sys.version.split()[0]
    assert welcome.facts["clock"] == "time.monotonic_ns"
    assert set(welcome.facts["runtimes"]) == {"echo", "onnxruntime", "overlay"}
    assert welcome.boot_id


def test_governors_are_told_where_the_kernel_has_them(tmp_path):
    assert "governor" not in board_facts(tmp_path)
    for core, governor in enumerate(("schedutil\n", "performance\n", "schedutil\n")):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(governor)
    (tmp_path / "sys/devices/system/cpu/cpu9/cpufreq/scaling_governor").mkdir(parents=True)  # cannot be read
    assert board_facts(tmp_path)["governor"] == "performance+schedutil"


def test_machines_that_share_a_home_have_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(facts.platform, "node", lambda: "orin/1 é")
    assert facts.machine_name(tmp_path) == "orin_1_é"
    (tmp_path / "machine-id").write_text("0123456789abcdef\n")
    assert facts.machine_name(tmp_path) == "orin_1_é-01234567"
    monkeypatch.setattr(facts.platform, "node", lambda: "..")
    assert facts.machine_name(tmp_path) == "board-01234567"
