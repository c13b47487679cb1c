from __future__ import annotations

import pytest

from drivers.boards.jetson import JetsonOptions, jetson, jetson_settings
from testbed.errors import ConfigError


def test_the_mode_is_set_before_the_clocks_it_limits(make_spec):
    options = JetsonOptions(host="h", power_mode=2, clocks={"17000000.gpu": "306000000:918000000"})
    assert list(jetson_settings(make_spec("jetson"), options.power_mode, options.clocks).items()) == [
        ("power-mode", "2"),
        ("clock:17000000.gpu", "306000000:918000000"),
    ]
    assert jetson_settings(make_spec("jetson"), None, {}) == {}


@pytest.mark.parametrize("span", ["918000000", "9:3", "low:high", ":"])
def test_a_range_of_clocks_is_checked(make_spec, span):
    with pytest.raises(ConfigError, match="no range") as caught:
        jetson(make_spec("jetson", host="h", clocks={"gpu": span}))
    assert caught.value.key == "boards.board.clocks.gpu"


async def test_a_machine_that_is_no_jetson_is_told_apart(ssh_server, make_spec, tmp_path):
    import sys

    board = jetson(
        make_spec(
            "jetson",
            host="127.0.0.1",
            port=ssh_server.port,
            user="tester",
            identity=str(ssh_server.identity),
            fingerprint=ssh_server.host_key.get_fingerprint(),
            transport="paramiko",
            python=sys.executable,
            folder=str(tmp_path / "board"),
        )
    )
    results = {r.step: r async for r in board.checks()}
    assert results["jetson"].state == "failed"
    assert results["jetson"].cure
    assert [results[s].state for s in ("network", "host key", "login", "python", "deployment")] == ["ok"] * 5
