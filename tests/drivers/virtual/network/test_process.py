import asyncio
import socket
import sys
from pathlib import Path

import pytest

from drivers.virtual.network.forwarder import ForwarderConfig
from drivers.virtual.network.options import NetworkOptions, WayOptions
from drivers.virtual.network.process import Network
from drivers.virtual.network.tun import why_not
from testbed.errors import LinkError
from testbed.model.losses import LossOptions

needs_root = pytest.mark.skipif(bool(why_not()), reason=f"no TUN devices here: {why_not()}")

ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 9000))
print("ready", flush=True)
while True:
    data, who = s.recvfrom(2048)
    s.sendto(data, who)
"""


def network(folder: Path, options: NetworkOptions, beside: str = ".") -> Network:
    config = ForwarderConfig(options=options, seed="1", beside=beside)
    return Network("network://board", config, folder / "net.json")


@needs_root
async def test_sockets_on_both_sides_feel_the_way(tmp_path: Path) -> None:
    net = network(tmp_path, NetworkOptions(up=WayOptions(delay_ms=15), down=WayOptions(delay_ms=15)))
    await net.start()
    await net.start()  # it is up already
    command = net.inside(sys.executable, "-c", ECHO)
    echo = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert echo.stdout is not None
        assert await echo.stdout.readline() == b"ready\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (net.offer["board"], 9000))
            best = 10.0
            for i in range(10):
                begin = loop.time()
                await loop.sock_sendall(sock, bytes([i]))
                assert await asyncio.wait_for(loop.sock_recv(sock, 10), 5) == bytes([i])
                best = min(best, loop.time() - begin)
        assert best >= 0.03
    finally:
        echo.kill()
        await echo.wait()
        await net.stop()
    assert net.counts["up"]["entered"] >= 10
    assert net.offer == {}


@needs_root
async def test_a_stop_without_a_start_and_a_start_after_a_stop(tmp_path: Path) -> None:
    net = network(tmp_path, NetworkOptions(up=WayOptions(loss=LossOptions(frac=0.1))))
    await net.stop()
    await net.start()
    first = net.offer["namespace"]
    await net.stop()
    await net.start()
    assert net.offer["namespace"] != first
    await net.stop()


async def test_a_network_that_cannot_be_set_up_says_why(tmp_path: Path) -> None:
    net = network(tmp_path, NetworkOptions(up=WayOptions(trace="none.csv")), str(tmp_path))
    with pytest.raises(LinkError) as caught:
        await net.start()
    assert "net.log" in str(caught.value)
