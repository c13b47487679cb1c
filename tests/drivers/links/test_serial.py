from __future__ import annotations

import asyncio
import os
import time

import pytest

from drivers.links import serial as serial_module
from drivers.links.serial import SerialConfig, SerialLink, port_path, stable_port
from testbed.contracts.link import LinkContract
from testbed.errors import LinkError


class TestSerialLink(LinkContract):
    @pytest.fixture
    def link(self, serial_pair):
        return SerialLink(SerialConfig(port=serial_pair.path))

    @pytest.fixture
    def link_to_nowhere(self):
        return SerialLink(SerialConfig(port="/dev/ttyNOWHERE", wait_s=0.1))

    @pytest.fixture
    def cut(self, serial_pair):
        return serial_pair.cut


class TestSerialLinkByThreads(LinkContract):
    """A port that is a URL has no descriptor to watch."""

    sizes = (0, 1, 4096)

    @pytest.fixture
    def link(self):
        return SerialLink(SerialConfig(port="loop://", baud=4_000_000))

    @pytest.fixture
    def link_to_nowhere(self):
        return SerialLink(SerialConfig(port="socket://127.0.0.1:1"))

    @pytest.fixture
    def cut(self):
        pytest.skip("a loop has no far side that could go")


async def test_a_port_that_appears_late_is_waited_for(serial_pair, tmp_path):
    late = tmp_path / "usb-board"
    link = SerialLink(SerialConfig(port=str(late), wait_s=5))
    asyncio.get_running_loop().call_later(0.1, os.symlink, serial_pair.path, late)
    await link.open()
    await link.write(b"hello")
    assert await link.read()
    await link.close()


async def test_a_port_in_use_is_refused(serial_pair):
    first = SerialLink(SerialConfig(port=serial_pair.path))
    second = SerialLink(SerialConfig(port=serial_pair.path))
    await first.open()
    with pytest.raises(LinkError, match="cannot open"):
        await second.open()
    await first.close()


async def test_pacing_holds_the_rate(serial_pair):
    link = SerialLink(SerialConfig(port=serial_pair.path, pace_bytes_per_s=10_000, pace_chunk_bytes=100))
    await link.open()
    begun = time.monotonic()
    await link.write(bytes(2_000))
    assert time.monotonic() - begun >= 0.175  # the last of 20 pieces leaves after 18 gaps of 10 ms
    await link.close()


def test_rate_counts_start_and_stop_bits():
    assert SerialConfig(port="x", baud=115200).bytes_per_s == 11520
    assert SerialConfig(port="x", baud=115200, pace_bytes_per_s=5000).bytes_per_s == 5000


def test_a_bare_name_means_a_stable_identity():
    assert port_path("usb-FTDI_1-if00") == "/dev/serial/by-id/usb-FTDI_1-if00"
    assert port_path("/dev/ttyUSB0") == "/dev/ttyUSB0"
    assert port_path("socket://host:1") == "socket://host:1"


def test_one_port_has_one_name_however_it_is_given(tmp_path, monkeypatch):
    by_id, device = tmp_path / "by-id", tmp_path / "ttyUSB0"
    by_id.mkdir()
    device.touch()
    (by_id / "usb-FTDI-if00").symlink_to(device)
    monkeypatch.setattr(serial_module, "_BY_ID", by_id)
    stable = str(by_id / "usb-FTDI-if00")
    assert [stable_port(port) for port in ("usb-FTDI-if00", stable, str(device))] == [stable] * 3
    (tmp_path / "ttyS1").touch()
    assert stable_port(str(tmp_path / "ttyS1")) == str(tmp_path / "ttyS1")
    assert stable_port("socket://far:4000") == "socket://far:4000"
    device.unlink()  # pulled out: still the same port
    assert stable_port("usb-FTDI-if00") == stable
