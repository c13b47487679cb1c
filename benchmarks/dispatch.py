"""What one request costs through the whole coordinator, against a bare echo over the same ssh, and what others take.

A request is counted from being handed to the coordinator until its record is written: policy, core, wire, OpenSSH
client and sshd on loopback, the agent's echo runtime, and all the way back, payload both ways. The yardstick sends and
checks the same payload over the same kind of connection and does nothing else. Peers take turns in random order, block
by block; figures are medians over blocks of each block's median. Shared hosts are noisy: ratios count, not times.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.echo import AsyncioEcho, RawPipe
from benchmarks.peers.foreign import Foreign
from benchmarks.peers.hops import HOPS, TracedCoordinator
from benchmarks.peers.libraries import AsyncsshChannel, ParamikoChannel, ParamikoCommand
from benchmarks.peers.sshd import NoSshdError, running_sshd
from benchmarks.peers.whole import WholeCoordinator
from benchmarks.verdict import arguments, conclude
from testbed.campaign.loop import new_loop

if TYPE_CHECKING:
    from benchmarks.peers import Login, Peer

SIZES = {"100B": 100, "3KB": 3 * 1024, "150KB": 150 * 1024}
TARGETS: dict[str, dict[str, float]] = {
    **{f"ratio_p50_{size}": {"max": 1.3} for size in SIZES},
    "throughput_frac_3KB": {"min": 0.5},
}
WINDOW = 32
_NO_SSHD = 3
_TVM = (
    "apache-tvm",
    "cloudpickle",
    "psutil",
    "tornado",
)  # the last three its RPC imports without requiring them


def main() -> int:
    """Run it; 3 where there is no sshd to run it against."""
    quick = arguments(__doc__).quick
    blocks, requests = (2, 10) if quick else (20, 100)
    with tempfile.TemporaryDirectory(prefix="testbed-dispatch-") as folder:
        try:
            with running_sshd(Path(folder)) as login, asyncio.Runner(loop_factory=new_loop) as runner:
                figures = runner.run(_measure(login, Path(folder), blocks, requests))
        except NoSshdError as error:
            print(f"dispatch: left out. {error}", file=sys.stderr)
            return _NO_SSHD
    counts = {"blocks": blocks, "requests_per_block": requests, "pipelined_per_block": 5 * requests}
    return conclude("dispatch", figures, TARGETS, counts)


async def _measure(login: Login, folder: Path, blocks: int, requests: int) -> dict[str, float]:
    ours = WholeCoordinator(login, _made(folder / "ours"))
    yardstick = AsyncioEcho(login)
    traced = TracedCoordinator(login, _made(folder / "traced"))
    wanted: list[Peer] = [
        yardstick,
        ours,
        RawPipe(login),
        ParamikoChannel(login),
        AsyncsshChannel(login),
        ParamikoCommand(login),
        Foreign("labgrid SSHDriver run", ("labgrid",), "labgrid_script.py", login),
        Foreign("apache-tvm RPC (TCP, no ssh)", _TVM, "tvm_script.py", login),
    ]
    peers = []
    for peer in wanted:
        try:
            await peer.open()
        except RuntimeError as error:
            print(f"left out: {peer.name}: {error}", flush=True)
        else:
            peers.append(peer)
    await traced.open()
    try:
        rng = random.Random(1)
        figures: dict[str, float] = {}
        for label, size in SIZES.items():
            medians = await _interleaved(peers, rng.randbytes(size), blocks, requests, rng)
            figures[f"ratio_p50_{label}"] = medians[ours.name] / medians[yardstick.name]
            figures |= {
                f"yardstick_us_{label}": medians[yardstick.name],
                f"ours_us_{label}": medians[ours.name],
            }
            _show(label, medians, yardstick.name)
        figures |= await _throughput(ours, yardstick, rng.randbytes(SIZES["3KB"]), blocks, 5 * requests, rng)
        hops = await traced.split(rng.randbytes(SIZES["3KB"]), blocks * requests)
        for name, about in HOPS.items():
            print(f"hop {name:10} {hops[name]:9.1f} us  {about}")
        return figures | {f"hop_{name}_us": value for name, value in hops.items()}
    finally:
        for peer in (*peers, traced):
            await peer.close()


async def _interleaved(
    peers: list[Peer], payload: bytes, blocks: int, requests: int, rng: random.Random
) -> dict[str, float]:
    """Median over blocks of each block's median [us]; a first block of each warms up and is not counted."""
    n = max(requests // 5, 5) if len(payload) > 100_000 else requests
    seen: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for block in range(blocks + 1):
        for peer in rng.sample(peers, len(peers)):
            few = peer.name in _SLOW
            took = await peer.block(payload, 1 if few else n)
            if block:
                seen[peer.name].append(statistics.median(took) / 1e3)
    return {name: statistics.median(values) for name, values in seen.items()}


_SLOW = {ParamikoCommand.name, "labgrid SSHDriver run"}
"""They start a process for each request: one in a block will do."""


async def _throughput(
    ours: WholeCoordinator, yardstick: AsyncioEcho, payload: bytes, blocks: int, n: int, rng: random.Random
) -> dict[str, float]:
    """Requests per second with ``WINDOW`` under way, ours over the yardstick's."""
    both: list[WholeCoordinator | AsyncioEcho] = [ours, yardstick]
    rates: dict[str, list[float]] = {peer.name: [] for peer in both}
    for block in range(blocks + 1):
        for peer in rng.sample(both, 2):
            took = await peer.pipelined(payload, n, WINDOW)
            if block:
                rates[peer.name].append(n / took * 1e9)
    mine, theirs = (statistics.median(rates[peer.name]) for peer in both)
    print(f"pipelined, {WINDOW} under way, 3 KB: ours {mine:.0f}/s, the yardstick {theirs:.0f}/s", flush=True)
    return {"throughput_frac_3KB": mine / theirs, "ours_per_s_3KB": mine, "yardstick_per_s_3KB": theirs}


def _show(label: str, medians: dict[str, float], yardstick: str) -> None:
    print(f"{label:6} {'':30} {'p50 us':>10} {'of yardstick':>13}")
    for name, value in sorted(medians.items(), key=lambda item: item[1]):
        print(f"{label:6} {name:30} {value:10.0f} {value / medians[yardstick]:13.2f}", flush=True)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
