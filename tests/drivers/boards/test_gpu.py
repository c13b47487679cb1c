from __future__ import annotations

import pytest

from drivers.boards.gpu import GpuOptions, gpu, gpu_settings, parse_gpus
from testbed.errors import ConfigError

# Synthetic: the shape of an answer, invented numbers.
ANSWER = """NVIDIA A2, 535.104.05, 15356 MiB, 60.00 W, 1770 MHz
NVIDIA T1000, 535.104.05, 4096 MiB, [N/A], 2100 MHz
"""


def test_answers_are_read_and_what_is_not_told_is_left_out():
    first, second = parse_gpus(ANSWER)
    assert first == {
        "name": "NVIDIA A2",
        "driver_version": "535.104.05",
        "memory.total": "15356 MiB",
        "power.limit": "60.00 W",
        "clocks.max.sm": "1770 MHz",
    }
    assert "power.limit" not in second


@pytest.mark.parametrize("text", ["", "NVIDIA-SMI has failed because it couldn't communicate", "a, b\n"])
def test_anything_else_names_no_gpu(text):
    assert parse_gpus(text) == []


async def test_a_host_without_gpu_fails_at_that_step(ssh_server, make_spec, tmp_path):
    import sys

    board = gpu(
        make_spec(
            "gpu",
            host="127.0.0.1",
            port=ssh_server.port,
            user="tester",
            identity=str(ssh_server.identity),
            fingerprint=ssh_server.host_key.get_fingerprint(),
            python=sys.executable,
            folder=str(tmp_path / "board"),
        )
    )
    states = {r.step: r.state async for r in board.checks()}
    assert states["deployment"] == "ok"
    assert states["gpu"] == "failed"
    assert states["link"] == "skipped"


def test_a_host_is_needed(make_spec):
    with pytest.raises(ConfigError, match="host"):
        gpu(make_spec("gpu"))


def test_power_limit_and_clocks_become_settings_of_the_agent(make_spec):
    options = GpuOptions(host="h", gpu=1, power_limit_w=180.5, clocks_mhz="1200:1200")
    assert gpu_settings(make_spec("gpu"), options) == {"power-limit:1": "180.5", "gpu-clocks:1": "1200:1200"}
    assert gpu_settings(make_spec("gpu"), GpuOptions(host="h")) == {}


@pytest.mark.parametrize(
    ("key", "value"), [("power_limit_w", -1.0), ("clocks_mhz", "1200"), ("clocks_mhz", "1300:1200")]
)
def test_a_setting_that_makes_no_sense_names_its_key(make_spec, key, value):
    with pytest.raises(ConfigError, match=key):
        gpu(make_spec("gpu", host="h", **{key: value}))
