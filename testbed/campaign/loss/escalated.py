"""Response times when answers that do not stand go on to the backend: what escalations leave of the lossy path's lead.

A picture takes as long as it took by its transport. The share that the thresholds send on then takes once more the
response time that one of the same client's pictures had over TCP, drawn from the seed. Both ways pay: TCP's with the
share that the thresholds send on without loss. Modelled on played response times: the draw knows nothing of how much
that picture had lost, and the backend is taken to be as far away and as busy as the edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.campaign.loss.live_spec import LOSSY
from testbed.campaign.loss.operating import CHOSEN
from testbed.campaign.loss.response import TAIL, best_stream, interval, tails

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testbed.campaign.loss.live import Played
    from testbed.campaign.loss.live_spec import Live
    from testbed.campaign.loss.operating import OperatingRow


class EscalatedRow(Struct, frozen=True, kw_only=True):
    """Tail of the lossy path with its escalations over that of TCP with its own, at one operating point.

    Attributes:
        rule, value, frontend, target, drop_pt: as in the `OperatingRow` that the shares are of.
        offload_frac: sent on with lossy transport; whole_offload_frac: with TCP, which loses nothing.
        other: TCP's better congestion control. frac: ratio of the tails, with its 95 % interval.
    """

    what: str = "escalated"
    rule: str
    value: float
    frontend: str
    target: float
    pattern: str
    loss: float
    drop_pt: float
    offload_frac: float
    whole_offload_frac: float
    other: str
    p99_ms: float
    other_p99_ms: float
    frac: float
    low: float
    high: float


def escalated_rows(
    live: Live, played: Sequence[Played], operating: Sequence[OperatingRow], seed: int
) -> list[EscalatedRow]:
    """A row for each operating point whose kind of loss was played."""
    rows = []
    for point in operating:
        mine = {
            one.transport: one for one in played if (one.pattern, one.loss) == (point.pattern, point.loss)
        }
        if (
            not mine
            or point.drop_pt is None
            or point.offload_frac is None
            or point.whole_offload_frac is None
        ):
            continue
        other = best_stream(mine)
        stream = mine[other].response_ms
        above = _with_escalations(mine[LOSSY].response_ms, stream, point.offload_frac, seed)
        below = _with_escalations(stream, stream, point.whole_offload_frac, seed)
        low, high = interval(tails(live, above, seed) / tails(live, below, seed))
        p99, other_p99 = float(np.quantile(above, TAIL)), float(np.quantile(below, TAIL))
        rows.append(
            EscalatedRow(
                rule=point.rule,
                value=point.value,
                frontend=point.frontend,
                target=point.target,
                pattern=point.pattern,
                loss=point.loss,
                drop_pt=point.drop_pt,
                offload_frac=point.offload_frac,
                whole_offload_frac=point.whole_offload_frac,
                other=other,
                p99_ms=p99,
                other_p99_ms=other_p99,
                frac=p99 / other_p99,
                low=low,
                high=high,
            )
        )
    return rows


def escalated_figures(rows: Sequence[EscalatedRow]) -> dict[str, float]:
    """``lossy_p99_escalated_frac``: the worst ratio at the chosen operating points."""
    fracs = [row.frac for row in rows if row.rule == CHOSEN]
    return {"lossy_p99_escalated_frac": max(fracs)} if fracs else {}


def _with_escalations(
    first_ms: NDArray[np.float64], stream_ms: NDArray[np.float64], share: float, seed: int
) -> NDArray[np.float64]:
    """Response times, shape (clients, pictures), of which a share takes a further one of the client's over TCP."""
    rng = np.random.default_rng([seed, 7])
    again = rng.random(first_ms.shape) < share
    further = rng.permuted(stream_ms, axis=1)
    return first_ms + np.where(again, further, 0.0)
