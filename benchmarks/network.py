"""Asked against delivered: delay, rate and loss of the packet-level network, with packets of a real UDP stack.

Sender and receiver stand on both sides of the TUN forwarder, in two network namespaces of one host, so that one clock
stamps both ends. Needs root; says so and misses its targets elsewhere.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from benchmarks.verdict import arguments, conclude
from drivers.virtual.network.forwarder import ForwarderConfig
from drivers.virtual.network.options import NetworkOptions, WayOptions
from drivers.virtual.network.process import Network
from drivers.virtual.network.tun import why_not
from testbed.model.losses import LossOptions

PORT = 9000
HEADERS = 28
STAMP = struct.Struct("!Iq")
RECEIVER = """
import socket, struct, sys, time
unpack = struct.Struct("!Iq").unpack_from
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE, socket(7)
s.bind(("0.0.0.0", int(sys.argv[1])))
s.settimeout(2.0)
print("ready", flush=True)
seen = []
try:
    while True:
        data = s.recv(2048)
        seen.append((*unpack(data), time.monotonic_ns(), len(data)))
except TimeoutError:
    pass
with open(sys.argv[2], "wb") as out:
    for row in seen:
        out.write(struct.pack("=qqqq", *row))
"""
TARGETS = {
    "delay_err_ms_p50": {"max": 0.5},
    "rate_err_frac": {"max": 0.05},
    "loss_err_abs": {"max": 0.005},
}
BURSTS = LossOptions(to_bad=0.0125, to_good=0.25, bad_frac=0.8, frac=0.01)


class Seen(Struct, frozen=True):
    """What arrived: packet numbers, sent and received [ns], payload sizes; shape (n,) each."""

    number: NDArray[np.int64]
    sent: NDArray[np.int64]
    received: NDArray[np.int64]
    size: NDArray[np.int64]


async def pass_through(
    way: WayOptions, folder: Path, *, packets: int, pps: float, payload: int, seed: int = 1
) -> Seen:
    """Send packets through a way and see what arrives."""
    network = Network(
        "benchmark",
        ForwarderConfig(options=NetworkOptions(up=way), seed=str(seed), beside=str(folder)),
        folder / "net.json",
    )
    out = folder / "seen"
    await network.start()
    try:
        receiver = await asyncio.create_subprocess_exec(
            *network.inside(sys.executable, "-c", RECEIVER, str(PORT), str(out)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert receiver.stdout is not None
        await receiver.stdout.readline()
        await asyncio.to_thread(send, network.offer["board"], packets, pps, payload)
        await receiver.wait()
    finally:
        await network.stop()
    rows = np.fromfile(out, dtype=np.int64).reshape(-1, 4)
    return Seen(*rows.T)


def send(address: str, packets: int, pps: float, payload: int) -> None:
    """Send at a steady pace, or as fast as it goes where that is infinite."""
    rest = bytes(payload - STAMP.size)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((address, PORT))
        start = time.monotonic_ns()
        for number in range(packets):
            due = start + round(number / pps * 1e9)
            while (left := due - time.monotonic_ns()) > 0:
                time.sleep(max(left - 50_000, 0) / 1e9)
            try:
                sock.send(STAMP.pack(number, time.monotonic_ns()) + rest)
            except BlockingIOError:
                continue


def delivered_bytes_per_s(seen: Seen) -> float:
    """Rate at which IP bytes arrived, between the first and the last packet."""
    span = (seen.received[-1] - seen.received[0]) / 1e9
    return float((seen.size[1:] + HEADERS).sum() / span)


async def measure(scale: float) -> tuple[dict[str, float], dict[str, int]]:
    """All scenarios; a scale below 1 sends fewer packets."""
    n = {name: round(count * scale) for name, count in COUNTS.items()}
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        asked_ms = 20.0
        seen = await pass_through(
            WayOptions(delay_ms=asked_ms), folder, packets=n["delay"], pps=2000, payload=200
        )
        error = np.abs((seen.received - seen.sent) / 1e6 - asked_ms)
        figures["delay_err_ms_p50"] = float(np.median(error))
        figures["delay_err_ms_p99"] = float(np.quantile(error, 0.99))
        print(f"delay {asked_ms} ms: error p50 {np.median(error):.3f} ms, n = {len(error)}")

        asked = 10.0
        way = WayOptions(rate_mbit=asked, queue_bytes=64_000)
        seen = await pass_through(way, folder, packets=n["rate"], pps=2000, payload=1200)
        got = delivered_bytes_per_s(seen) * 8 / 1e6
        figures["rate_err_frac"] = abs(got / asked - 1)
        print(
            f"rate {asked} Mbit/s: {got:.3f} Mbit/s delivered of twice as much offered, n = {len(seen.size)}"
        )

        losses = {"iid": LossOptions(frac=0.05), "bursts": BURSTS}
        worst = 0.0
        for name, loss in losses.items():
            seen = await pass_through(WayOptions(loss=loss), folder, packets=n[name], pps=5000, payload=100)
            lost = 1 - len(seen.number) / n[name]
            worst = max(worst, abs(lost - loss.mean_frac))
            print(f"loss, {name}: asked {loss.mean_frac:.4f}, was {lost:.4f}, n = {n[name]}")
        figures["loss_err_abs"] = worst

        seen = await pass_through(
            WayOptions(queue_bytes=1 << 24), folder, packets=n["flood"], pps=math.inf, payload=100
        )
        span = (seen.received[-1] - seen.received[0]) / 1e9
        figures["forward_kpps"] = len(seen.number) / span / 1e3
        print(
            f"flood: {figures['forward_kpps']:.1f} kpps delivered, {1 - len(seen.number) / n['flood']:.1%} not"
        )
    return figures, n


COUNTS = {"delay": 20_000, "rate": 20_000, "iid": 50_000, "bursts": 100_000, "flood": 100_000}


def main() -> int:
    """Run the scenarios."""
    quick = arguments(__doc__).quick
    why = why_not()
    if why:
        print(f"not possible here: {why}")
        return conclude("network", dict.fromkeys([*TARGETS, "forward_kpps"], math.nan), TARGETS, {})
    figures, n = asyncio.run(measure(0.02 if quick else 1.0))
    return conclude("network", figures, TARGETS, n)


if __name__ == "__main__":
    sys.exit(main())
