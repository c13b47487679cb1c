import sys

from testbed.wire import PROTOCOL_VERSION


def test_hello_tells_what_the_board_is(start, agent_pyz):
    welcome = start().greet(agent_sha256=agent_pyz[1], fence=3)
    assert (welcome.version, welcome.fence, welcome.agent_sha256) == (PROTOCOL_VERSION, 3, agent_pyz[1])
    assert welcome.max_inflight == 64
    assert welcome.facts["python"] == sys.version.split()[0]
    assert welcome.facts["clock"] == "time.monotonic_ns"
    assert set(welcome.facts["runtimes"]) == {"echo", "onnxruntime"}
    assert welcome.boot_id
