"""One small picture to a virtual board and back: lossy orders against reliable ones over the same ssh, in turns.

Three ways: plain loopback, a packet-level network that loses nothing and has no delay, and one that loses 5 % of all
packets each way at a round trip of 40 ms. The reliable path is TCP with the kernel's own loss recovery. The picture is
28 pixels square, grey, 7 small packets; a raw one is 784 bytes, so TCP carries it in one segment. Needs root for two of
the three.
"""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.specs import virtual_board
from benchmarks.verdict import arguments, conclude
from drivers.virtual.network.tun import why_not
from testbed.campaign.data import TaskData
from testbed.model import event as ev
from testbed.model.action import Infer, Item, Load, Transport

if TYPE_CHECKING:
    from testbed.ports import Payload

TARGETS = {"lossy_p99_frac": {"max": 0.5}}
"""The 99th percentile of a lossy request over that of a reliable one, at 5 % loss and 40 ms round trip."""
FAR: dict[str, Any] = {"delay_ms": 20.0, "loss": {"frac": 0.05}}
WAYS: dict[str, dict[str, Any] | None] = {
    "loopback": None,
    "tun": {"up": {}, "down": {}, "backend": "tun"},
    "far": {"up": FAR, "down": FAR, "backend": "tun"},
}
COUNTS = {"loopback": 2000, "tun": 2000, "far": 1200}
LOSSY = {"units": 1, "packet_bytes": 192, "fill": "nearest", "wait_ms": 30}
SERVICE_MS = 2.0
LIMIT_S = 30.0


async def play(network: dict[str, Any] | None, images: Payload, count: int) -> dict[str, Any]:
    """Response times [ms] of both kinds in turns, and what was lost; a lossy order that failed is not among them."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    options: dict[str, Any] = {"lossy": LOSSY} if network is None else {"lossy": LOSSY, "network": network}
    took: dict[str, list[float]] = {"lossy": [], "reliable": []}
    lost: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        board = virtual_board("ssh", "bench", Path(place), service_ms={"small": SERVICE_MS}, **options)
        await board.open(events.put_nowait)
        try:

            async def end() -> Any:  # noqa: ANN401 - one of several events
                while True:
                    event = await asyncio.wait_for(events.get(), LIMIT_S)
                    if isinstance(event, (ev.Executed, ev.Failed, ev.Loaded)):
                        return event

            board.send(Load(id=1, board="bench", model="small"))
            await end()
            await board.probe(4)
            for turn in range(2 * count):
                lossy = turn % 2 == (turn // 2) % 2
                order = Infer(
                    id=2 + turn,
                    board="bench",
                    model="small",
                    batch=(Item(request=1),),
                    transport=Transport.LOSSY if lossy else Transport.RELIABLE,
                )
                sample = turn // 2 % 100
                begin = time.perf_counter()
                board.send(order, images[sample : sample + 1], (sample,))
                ended = await end()
                spent = (time.perf_counter() - begin) * 1e3
                if lossy:
                    failed = isinstance(ended, ev.Failed)
                    lost.append(ended.lost_frac if failed else ended.execution.items[0].lost_frac)
                    if failed:
                        continue
                took["lossy" if lossy else "reliable"].append(spent)
        finally:
            await board.close()
    return {**took, "lost": lost}


def main() -> int:
    """Play every way that can be had here."""
    share = 0.02 if arguments(__doc__).quick else 1.0
    images = TaskData("image-classification/fashion-mnist").images
    figures: dict[str, float] = dict.fromkeys(TARGETS, math.nan)
    n: dict[str, int] = {}
    for name, network in WAYS.items():
        why = why_not() if network is not None else ""
        if why:
            print(f"{name}: not possible here: {why}")
            continue
        n[name] = max(10, round(COUNTS[name] * share))
        seen = asyncio.run(play(network, images, n[name]))
        lossy, reliable = np.array(seen["lossy"]), np.array(seen["reliable"])
        answered = len(lossy) / n[name]
        for quantile in (50, 99):
            mine, theirs = np.percentile(lossy, quantile), np.percentile(reliable, quantile)
            figures[f"{name}_lossy_ms_p{quantile}"] = float(mine)
            figures[f"{name}_reliable_ms_p{quantile}"] = float(theirs)
            print(
                f"{name}: p{quantile} lossy {mine:.2f} ms, reliable {theirs:.2f} ms, {mine / theirs:.3f} of it"
            )
        figures[f"{name}_answered_frac"] = answered
        figures[f"{name}_lost_frac"] = float(np.mean(seen["lost"]))
        print(
            f"{name}: {answered:.3f} of the lossy orders answered, mean loss {np.mean(seen['lost']):.4f}, "
            f"n = {n[name]} each"
        )
        if name == "far":
            figures["lossy_p99_frac"] = float(np.percentile(lossy, 99) / np.percentile(reliable, 99))
    return conclude("lossy", figures, TARGETS, n)


if __name__ == "__main__":
    sys.exit(main())
