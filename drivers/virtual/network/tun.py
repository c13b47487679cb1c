"""Two TUN devices with a network namespace behind one of them: the sockets of a board stand in a net of their own.

``host device ── forwarder ── board device (in the namespace)``: the kernel hands every IP packet for the other side
to the forwarder, which hands it on when and if its way says so. Needs root (CAP_NET_ADMIN), ``/dev/net/tun`` and
iproute2; no kernel module beyond TUN. Devices vanish with their descriptors; a namespace left behind by a forwarder
that was killed is removed by the next one.

Source: Documentation/networking/tuntap.rst of the Linux kernel; ip-netns(8); addresses of RFC 2544 section C.2.2, which
are set aside for benchmarks.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

from msgspec import Struct

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_NET = ipaddress.IPv4Address("198.18.0.0")
_PAIRS = 1 << 15
_NAMESPACE = re.compile(r"testbed-(\d+)")
_QUEUE_PACKETS = 10_000
_IP_LIMIT_S = 10.0


class Tuns(Struct, frozen=True, kw_only=True):
    """What was set up.

    Attributes:
        host_fd, board_fd: one packet per read and write, without a header of the device's.
        host, board: addresses. namespace: of the board.
    """

    host_fd: int
    board_fd: int
    host: str
    board: str
    namespace: str


def why_not() -> str:
    """Why this cannot be had here, or an empty string."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun is not there or not ours to open"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "the program ip (package iproute2) is not installed"
    return ""


def set_up(mtu: int = 1500) -> Tuns:
    """Make both devices and the namespace; named after this process, which must hold them open.

    Raises:
        OSError: the kernel refuses. ValueError: ``ip`` refuses, with what it said.
    """
    clear_left()
    number = os.getpid()
    namespace, host_device, board_device = f"testbed-{number}", f"tbh{number}", f"tbb{number}"
    first = _NET + 4 * (number % _PAIRS)
    host, board = str(first + 1), str(first + 2)
    host_fd, board_fd = _open(host_device), _open(board_device)
    try:
        _ip("netns", "add", namespace)
        _ip("link", "set", board_device, "netns", namespace)
        inside = ("-n", namespace)
        for where, device, address, other in (
            ((), host_device, host, board),
            (inside, board_device, board, host),
        ):
            _ip(*where, "address", "add", address, "peer", other, "dev", device)
            _ip(*where, "link", "set", device, "mtu", str(mtu), "txqueuelen", str(_QUEUE_PACKETS), "up")
        _ip(*inside, "link", "set", "lo", "up")
    except ValueError:
        tear_down(namespace)
        os.close(host_fd)
        os.close(board_fd)
        raise
    return Tuns(host_fd=host_fd, board_fd=board_fd, host=host, board=board, namespace=namespace)


def tear_down(namespace: str) -> None:
    """Remove a namespace; processes that still run in it keep it until they end."""
    with contextlib.suppress(ValueError):  # it may never have been made
        _ip("netns", "delete", namespace)


def clear_left(folder: Path = Path("/run/netns")) -> None:
    """Remove namespaces of forwarders that are gone."""
    for entry in folder.glob("testbed-*"):
        match = _NAMESPACE.fullmatch(entry.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            tear_down(entry.name)


def _open(device: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    # The kernel's own neighbours' talk would count as traffic.
    with contextlib.suppress(OSError):
        Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("1\n", "ascii")
    return fd


def _ip(*arguments: str) -> None:
    done = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, timeout=_IP_LIMIT_S, check=False
    )
    if done.returncode:
        raise ValueError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
