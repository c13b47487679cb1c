"""Response times of ways to carry pictures, as rows and figures.

Intervals come from drawing clients anew: pictures of one client share a connection and are not independent. A ratio
draws the same clients for both, which had the same pictures at the same instants.

Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13 (percentile interval, clusters).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.campaign.loss.live_spec import FEC, LOSSY, TCP
from testbed.measure.stats import LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from testbed.campaign.loss.live import Played
    from testbed.campaign.loss.live_spec import Live

TAIL = 0.99


class ResponseRow(Struct, frozen=True, kw_only=True):
    """One transport under one kind of loss.

    Attributes:
        loss: asked, each way. delivered_loss: of the packets up. congestion: of its stream, as the kernel says.
        n: pictures. unanswered: of these, within the limit; they count with the limit.
        again_frac: sent once more over the stream. hurt_frac: answered without some of the picture.
            lost_frac: mean share that these and the others were answered without.
        p99_low, p99_high: 95 % interval. p99_of_networks: each network alone.
        packets_up: of a picture, those of the stream's acknowledgements included.
    """

    what: str = "response"
    transport: str
    pattern: str
    loss: float
    delivered_loss: float
    congestion: str
    n: int
    unanswered: int
    again_frac: float
    hurt_frac: float
    lost_frac: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p99_low_ms: float
    p99_high_ms: float
    p99_of_networks_ms: list[float]
    packets_up: float


class RatioRow(Struct, frozen=True, kw_only=True):
    """Tail of the lossy transport over that of another one; ``other`` with TCP is its better congestion control."""

    what: str = "ratio"
    pattern: str
    loss: float
    other: str
    frac: float
    low: float
    high: float


class LeftOutRow(Struct, frozen=True, kw_only=True):
    """Why there are no response times, or none of some transport."""

    what: str = "left out"
    reason: str


def response_rows(live: Live, played: Sequence[Played], seed: int) -> list[ResponseRow | RatioRow]:
    """A row for each transport and kind of loss, then ratios."""
    rows: list[ResponseRow | RatioRow] = [_row(live, one, seed) for one in played]
    cells = dict.fromkeys((one.pattern, one.loss) for one in played)
    for pattern, loss in cells:
        mine = {one.transport: one for one in played if (one.pattern, one.loss) == (pattern, loss)}
        best = best_stream(mine)
        for other in (best, *([FEC] if FEC in mine else [])):
            above, below = mine[LOSSY].response_ms, mine[other].response_ms
            draws = tails(live, above, seed) / tails(live, below, seed)
            low, high = interval(draws)
            frac = float(np.quantile(above, TAIL) / np.quantile(below, TAIL))
            rows.append(RatioRow(pattern=pattern, loss=loss, other=other, frac=frac, low=low, high=high))
    return rows


def best_stream(played: Mapping[str, Played]) -> str:
    """The name of the TCP whose congestion control has the smaller tail."""
    streams = [name for name in played if name.startswith(TCP)]
    return min(streams, key=lambda name: np.quantile(played[name].response_ms, TAIL))


def response_figures(rows: Sequence[ResponseRow | RatioRow], loss: float) -> dict[str, float]:
    """``lossy_p99_frac`` and ``lossy_fec_p99_frac`` at a loss: the worse of the patterns, then each of them."""
    found: dict[str, float] = {}
    for row in rows:
        if row.loss != loss:
            continue
        if isinstance(row, RatioRow):
            name = "lossy_fec_p99_frac" if row.other == FEC else "lossy_p99_frac"
            found[name] = max(found.get(name, 0.0), row.frac)
            found[f"{name}_{row.pattern}"] = row.frac
        else:
            found[f"p99_ms_{row.transport.replace(' ', '_')}_{row.pattern}"] = row.p99_ms
    return found


def _row(live: Live, one: Played, seed: int) -> ResponseRow:
    p50, p95, p99 = np.quantile(one.response_ms, [0.5, 0.95, TAIL]).tolist()
    low, high = interval(tails(live, one.response_ms, seed))
    answered = ~one.unanswered
    up = one.counts["up"]
    networks = one.response_ms.reshape(live.networks, -1)
    return ResponseRow(
        transport=one.transport,
        pattern=one.pattern,
        loss=one.loss,
        delivered_loss=up["lost"] / max(up["entered"], 1),
        congestion=one.facts.get("congestion", ""),
        n=one.response_ms.size,
        unanswered=int(one.unanswered.sum()),
        again_frac=float(one.again.mean()),
        hurt_frac=float((one.lost_frac[answered] > 0).mean()) if answered.any() else 0.0,
        lost_frac=float(one.lost_frac[answered].mean()) if answered.any() else 0.0,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        p99_low_ms=low,
        p99_high_ms=high,
        p99_of_networks_ms=np.quantile(networks, TAIL, axis=1).tolist(),
        packets_up=up["entered"] / one.response_ms.size,
    )


def tails(live: Live, response_ms: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Tail of each resample of the clients, shape (resamples,)."""
    rng = np.random.default_rng([seed, 6])
    clients = len(response_ms)
    draws = (rng.integers(0, clients, clients) for _ in range(live.resamples))
    return np.array([np.quantile(response_ms[draw], TAIL) for draw in draws])


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """Where 95 % of the resamples lie."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high
