"""Pictures over emulated networks that lose packets, by several transports at the same time: when is each answered?

Live: the kernel's TCP and UDP stacks, the cipher, packets, decoder and rules of the boards' datagram link. The far end
takes a fixed time instead of running a model. Whether an answer is right is for the study's other half.
"""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from testbed.campaign.loss.live_spec import FEC, LOSSY, TCP, Live, network_table
from testbed.campaign.loss.spec import BURSTS
from testbed.errors import ConfigError, did_you_mean
from testbed.model.carriage import CarrierSpec
from testbed.scratch import scratch_folder
from testbed.units import Ns, S
from testbed.wire.jpeg import join
from testbed.wire.picture import encode
from testbed.workload.arrivals import Arrivals, draw_arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from testbed.campaign.loss.spec import LossStudy
    from testbed.campaign.progress import Progress
    from testbed.ports import Carrier

_TOGETHER = 4
"""Networks that are set up at the same time: each is two processes that import numpy."""
_SETTLE_S = 1.0


class Played(Struct, frozen=True):
    """What one transport did under one kind of loss.

    Attributes:
        response_ms: from the instant a picture was due to its answer, float64 (networks * clients, pictures).
        lost_frac: of each picture. again: sent once more over the stream. unanswered: within the limit.
        counts: packets up and down, over all networks. facts: of the first network.
    """

    transport: str
    pattern: str
    loss: float
    response_ms: NDArray[np.float64]
    lost_frac: NDArray[np.float64]
    again: NDArray[np.bool_]
    unanswered: NDArray[np.bool_]
    counts: dict[str, dict[str, int]]
    facts: dict[str, str]


def transports(live: Live) -> list[tuple[str, str, str]]:
    """Name, transport and congestion control of what is compared."""
    first = live.congestion[0]
    streams = [(f"{TCP} {control}".strip(), TCP, control) for control in live.congestion]
    return [(LOSSY, LOSSY, first), (FEC, FEC, first), *streams]


def pictures_of(live: Live, images: Sequence[NDArray[np.uint8]], seed: int) -> tuple[bytes, ...]:
    """Encoded pictures, drawn from images of one size.

    Raises:
        LocalWireError: the images are no pictures.
    """
    side = live.mosaic
    draws = np.random.default_rng([seed, 4]).integers(0, len(images), (live.pictures, side, side))
    encoded = []
    for draw in draws:
        rows = [np.concatenate([images[place] for place in row], axis=1) for row in draw.tolist()]
        shape, segments = encode(np.concatenate(rows), quality=live.quality, interval=live.units)
        encoded.append(join(shape, dict(enumerate(segments))))
    return tuple(encoded)


def cells(study: LossStudy, live: Live) -> list[tuple[str, float]]:
    """Patterns and losses; without loss there is one pattern."""
    return [(pattern, loss) for loss in live.losses for pattern in (study.patterns if loss else ("none",))]


def play_live(
    study: LossStudy, live: Live, images: Sequence[NDArray[np.uint8]], file: Path, progress: Progress
) -> tuple[list[Played], str]:
    """Play every kind of loss; and what was left out because it cannot be had here, with the reason.

    Nothing is played without the lossy transport or without any stream.

    Args:
        file: the campaign file, for errors.

    Raises:
        ConfigError: an unknown carrier or option. LinkError: a network could not be set up.
    """
    build = _builder(live, file)
    encoded = pictures_of(live, images, study.seed)
    played: list[Played] = []
    with scratch_folder() as state:

        def make(pattern: str, loss: float) -> list[tuple[str, list[Carrier]]]:
            table = network_table(live, loss, study.burst_packets if pattern == BURSTS else 1.0)
            return [
                (
                    name,
                    [
                        build(
                            CarrierSpec(
                                name=f"{name.replace(' ', '-')}-{place}",
                                transport=transport,
                                clients=live.clients,
                                pictures=encoded,
                                quality=live.quality,
                                options={**live.options, "congestion": control},
                                network=table,
                                seed=f"{study.seed}/{pattern}/{loss}/{place}",
                                file=file,
                                state=state,
                            )
                        )
                        for place in range(live.networks)
                    ],
                )
                for name, transport, control in transports(live)
            ]

        todo = cells(study, live)
        without = {name: carriers[0].why_not for name, carriers in make(*todo[0]) if carriers[0].why_not}
        told = "; ".join(dict.fromkeys(without.values()))
        left = [name for name, _, _ in transports(live) if name not in without]
        if LOSSY not in left or not any(name.startswith(TCP) for name in left):
            return [], told
        progress.start("pictures over networks", len(todo))
        for pattern, loss in todo:
            named = [(name, carriers) for name, carriers in make(pattern, loss) if name in left]
            played += asyncio.run(_play(study, live, pattern, loss, named))
            progress.advance()
        progress.done()
    return played, told


def _builder(live: Live, file: Path) -> Callable[[CarrierSpec], Carrier]:
    kinds = {point.name: point for point in entry_points(group="testbed.carriers")}
    if live.carrier not in kinds:
        raise ConfigError(
            f"no carrier {live.carrier!r}",
            file=file,
            key="live.carrier",
            cure=did_you_mean(live.carrier, kinds) or "Install the package again: no driver is registered",
        )
    build: Callable[[CarrierSpec], Carrier] = kinds[live.carrier].load()
    return build


async def _play(
    study: LossStudy, live: Live, pattern: str, loss: float, named: list[tuple[str, list[Carrier]]]
) -> list[Played]:
    carriers = [carrier for _, group in named for carrier in group]
    few = asyncio.Semaphore(_TOGETHER)

    async def bounded(step: Callable[[], Any]) -> None:
        async with few:
            await step()

    try:
        async with asyncio.TaskGroup() as group:
            for carrier in carriers:
                group.create_task(bounded(carrier.open))
        async with asyncio.TaskGroup() as group:
            for carrier in carriers:
                for client in range(live.clients):
                    group.create_task(_warm_up(live, carrier, client))
        begin = time.monotonic_ns() + round(_SETTLE_S * S)
        async with asyncio.TaskGroup() as group:
            work = {
                name: [
                    group.create_task(_client(study, live, carrier, place, client, begin))
                    for place, carrier in enumerate(of_it)
                    for client in range(live.clients)
                ]
                for name, of_it in named
            }
    finally:
        async with asyncio.TaskGroup() as group:
            for carrier in carriers:
                group.create_task(bounded(carrier.close))
    found = []
    for name, of_it in named:
        rows = np.array([task.result() for task in work[name]])
        counts = {
            way: {
                key: sum(c.counts[way].get(key, 0) for c in of_it) for key in ("entered", "lost", "dropped")
            }
            for way in ("up", "down")
        }
        late = np.isnan(rows[..., 0])
        found.append(
            Played(
                transport=name,
                pattern=pattern,
                loss=loss,
                response_ms=np.where(late, live.limit_s * 1e3, rows[..., 0]),
                lost_frac=rows[..., 1],
                again=rows[..., 2] > 0,
                unanswered=late,
                counts=counts,
                facts=of_it[0].facts,
            )
        )
    return found


async def _warm_up(live: Live, carrier: Carrier, client: int) -> None:
    for number in range(live.warm_up):
        await _one(live, carrier, client, number, 0, time.monotonic_ns())


async def _client(
    study: LossStudy, live: Live, carrier: Carrier, place: int, client: int, begin: Ns
) -> list[tuple[float, float, float]]:
    """Send a client's pictures when they are due, whatever became of those before."""
    rng = np.random.default_rng([study.seed, 5, place, client])
    due = begin + draw_arrivals(Arrivals(rate_hz=live.rate_hz), live.each, rng)
    pictures = rng.integers(0, live.pictures, live.each).tolist()
    work = []
    async with asyncio.TaskGroup() as group:
        for number, (at, picture) in enumerate(zip(due.tolist(), pictures, strict=True), live.warm_up):
            await asyncio.sleep(max(at - time.monotonic_ns(), 0) / S)
            work.append(group.create_task(_one(live, carrier, client, number, picture, at)))
    return [task.result() for task in work]


async def _one(
    live: Live, carrier: Carrier, client: int, number: int, picture: int, due: Ns
) -> tuple[float, float, float]:
    """Response time [ms], share lost, whether it was sent again; NaN if it was not answered within the limit."""
    try:
        async with asyncio.timeout(due / S + live.limit_s - time.monotonic_ns() / S):
            carried = await carrier.carry(client, number, picture)
    except TimeoutError:
        return np.nan, np.nan, 0.0
    return (carried.answered - due) / 1e6, carried.lost_frac, float(carried.again)
