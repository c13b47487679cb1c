"""The process between a host and a board's namespace: every packet is held as long as its way says, or dropped.

Started with a file that holds the options; its first line tells ``{"host", "board", "namespace"}``, and the end of its
input ends it, after a last line with what it counted: ``{"up": {...}, "down": {...}}``.
"""

from __future__ import annotations

import heapq
import os
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from drivers.virtual.machine.orders import announce
from drivers.virtual.machine.waiting import die_with_parent, sharpen_timers, take_priority
from drivers.virtual.network.options import NetworkOptions
from drivers.virtual.network.tun import set_up, tear_down
from drivers.virtual.network.way import PacketWay

if TYPE_CHECKING:
    from drivers.virtual.network.tun import Tuns

_LARGEST = 65_536
_AT_ONCE = 64
_SPIN_NS = 60_000


class ForwarderConfig(Struct, frozen=True, kw_only=True):
    """What the process is told.

    Attributes:
        seed: of losses and jitter. beside: folder that relative traces lie in.
    """

    options: NetworkOptions
    seed: str
    beside: str = "."
    mtu: int = 1500


class Forwarder:
    """Two ways and a heap of packets under way."""

    def __init__(self, config: ForwarderConfig, host_fd: int, board_fd: int) -> None:
        """Nothing is under way.

        Raises:
            ConfigError: a trace cannot be read.
        """
        beside = Path(config.beside)
        up = PacketWay(config.options.up, f"{config.seed}/up", beside)
        down = PacketWay(config.options.down, f"{config.seed}/down", beside)
        self.ways = {"up": up, "down": down}
        self.refused = 0
        self._routes = {host_fd: (up, board_fd), board_fd: (down, host_fd)}
        self._under_way: list[tuple[int, int, int, bytes]] = []
        self._count = 0
        self._epoch = time.monotonic_ns()

    def run(self, stop_fd: int) -> None:
        """Forward until ``stop_fd`` becomes readable."""
        fds = [*self._routes, stop_fd]
        while True:
            ready, _, _ = select.select(fds, [], [], self._wait_s())
            for fd in ready:
                if fd == stop_fd:
                    return
                self._take(fd)
            self._give()

    def _wait_s(self) -> float | None:
        """How long nothing is due; the last stretch is spent asking again and again."""
        if not self._under_way:
            return None
        left = self._under_way[0][0] + self._epoch - time.monotonic_ns() - _SPIN_NS
        return max(left, 0) / 1e9

    def _take(self, fd: int) -> None:
        """Read what is there, not for ever: the other side has packets too."""
        way, out = self._routes[fd]
        for _ in range(_AT_ONCE):
            try:
                packet = os.read(fd, _LARGEST)
            except BlockingIOError:
                return
            exit_ = way.enter(time.monotonic_ns() - self._epoch, len(packet))
            if exit_ is not None:
                self._count += 1
                heapq.heappush(self._under_way, (exit_, self._count, out, packet))

    def _give(self) -> None:
        """Hand on what is due."""
        now = time.monotonic_ns() - self._epoch
        while self._under_way and self._under_way[0][0] <= now:
            _, _, fd, packet = heapq.heappop(self._under_way)
            try:
                os.write(fd, packet)
            except OSError:  # the device is down, or has no room: that packet is lost, and told
                self.refused += 1


def main() -> None:
    """Set up, forward, and take everything away again."""
    config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ForwarderConfig)
    die_with_parent()
    sharpen_timers()
    realtime = take_priority()
    tuns: Tuns = set_up(config.mtu)
    try:
        forwarder = Forwarder(config, tuns.host_fd, tuns.board_fd)
        announce({"host": tuns.host, "board": tuns.board, "namespace": tuns.namespace, "realtime": realtime})
        forwarder.run(sys.stdin.fileno())
    finally:
        tear_down(tuns.namespace)
    counts = {
        name: {"entered": way.entered, "lost": way.lost, "dropped": way.dropped}
        for name, way in forwarder.ways.items()
    }
    announce({**counts, "refused": forwarder.refused})


if __name__ == "__main__":
    main()
