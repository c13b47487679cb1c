"""The rows of the gap table."""

from __future__ import annotations

from msgspec import Struct

from testbed.measure.stats import Estimate
from testbed.store.schema import Source

CIRCULAR = "circular"
OTHER_PROFILE = "other profile"
GIVEN_PROFILE = "given profile"
EARLIER_RUN = "earlier run"
SAME_RUN = "same run"


class GapRow(Struct, frozen=True, kw_only=True):
    """One figure of one policy on both sides, over the same requests; the difference is live - virtual.

    Attributes:
        metric: ``p50_ms``, ``p95_ms``, ``p99_ms``, ``mean_ms``, ``offload_frac``, ``deadline_miss_frac``,
            ``lost_frac`` (where anything was lost), ``accuracy`` or ``net_mj``; in a split one of `TERMS`, mean time
            in ms.
        by_block: the difference within each replicate, in their order.
    """

    metric: str
    live: float | None
    virtual: float | None
    difference: Estimate
    by_block: tuple[float, ...] = ()


class PolicyGap(Struct, frozen=True, kw_only=True):
    """The gap of one policy.

    Attributes:
        requests: that both runs hold. pairs: answered in both.
        live_origin, virtual_origin: of the response times.
        rows: the figures. split: the mean response time's gap in terms, over ``split_pairs`` pairs whose stamps tell.
        split_total: their gap as a whole; residual_ms: what the terms leave of it, 0 but for rounding.
        same_path_frac: share of these pairs that took the same boards in the same order.
        bench: why this is no gap between model and bench, or an empty string.
    """

    policy: str
    requests: int
    pairs: int
    live_origin: str
    virtual_origin: str
    rows: tuple[GapRow, ...]
    split: tuple[GapRow, ...]
    split_total: GapRow
    split_pairs: int
    residual_ms: float | None
    same_path_frac: float | None
    bench: str


class BoardGap(Struct, frozen=True, kw_only=True):
    """What a board's gap can mean.

    Attributes:
        live_origin, live_link_origin: of its service times and of its way, in the live run.
        profile_origin: of the service times in the profile that the model drew from.
        relation: `CIRCULAR`: the live board was paced from that very profile. `OTHER_PROFILE`: from another one.
            It really executed, and the profile was named by the lab file (`GIVEN_PROFILE`), measured at the start of
            an earlier run (`EARLIER_RUN`), or at the start of the very run compared (`SAME_RUN`).
    """

    board: str
    model: str
    live_origin: str
    live_link_origin: str
    profile_origin: str
    relation: str


class Gap(Struct, frozen=True, kw_only=True):
    """Everything that the gap table shows; ``source`` is the run that profiles and links were taken from."""

    live: str
    virtual: str
    live_run: str
    source: Source
    source_is_live: bool
    policies: tuple[PolicyGap, ...]
    boards: tuple[BoardGap, ...]
