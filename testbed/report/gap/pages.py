"""The gap table for the terminal, as JSON (schema 1) and as a page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from testbed.report import words
from testbed.report.console import draw
from testbed.report.gap.rows import CIRCULAR, EARLIER_RUN, GIVEN_PROFILE, OTHER_PROFILE, SAME_RUN
from testbed.report.html import document, table_to_html
from testbed.report.json import interval
from testbed.report.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from testbed.report.gap.rows import BoardGap, Gap, GapRow, PolicyGap

SCHEMA = 1
_METRICS = {
    "p50_ms": ("p50 response", "ms", 1.0),
    "p95_ms": ("p95 response", "ms", 1.0),
    "p99_ms": ("p99 response", "ms", 1.0),
    "mean_ms": ("mean response", "ms", 1.0),
    "offload_frac": ("offloaded", "points", 100.0),
    "deadline_miss_frac": ("missed", "points", 100.0),
    "lost_frac": ("input lost", "points", 100.0),
    "accuracy": ("accuracy", "points", 100.0),
    "net_mj": ("net energy a request", "mJ", 1.0),
}
_RELATIONS = {
    CIRCULAR: "circular but for queueing and overhead: paced from this very profile",
    OTHER_PROFILE: "paced from another profile than the model drew from",
    GIVEN_PROFILE: "really executed; the profile is the one its lab file names",
    EARLIER_RUN: "really executed; profile measured at the start of {source}",
    SAME_RUN: "circular: profile measured at the start of the very run compared",
}


def gap_tables(gap: Gap) -> tuple[Table, ...]:
    """The gap, what explains it, and what it rests on."""
    return _figures(gap), _split(gap), _boards(gap)


def gap_to_console(gap: Gap) -> list[RenderableType]:
    """Tables, each followed by its remarks."""
    return [part for table in gap_tables(gap) for part in draw(table)]


def write_gap(gap: Gap, path: Path) -> None:
    """Write the page; whatever stood there is replaced."""
    title = "Gap between a live run and virtual time"
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="note">{escape(gap.live)} and {escape(gap.virtual)}</p>']
    path.write_text(document(title, [*parts, *map(table_to_html, gap_tables(gap))]), encoding="utf-8")


def gap_to_json(gap: Gap) -> dict[str, Any]:
    """The document that ``testbed gap --json`` prints; every difference is live - virtual."""
    return {
        "schema": SCHEMA,
        "live": gap.live,
        "virtual": gap.virtual,
        "profiles_from": {
            "run": gap.source.run,
            "created": gap.source.created,
            "is_live": gap.source_is_live,
        },
        "policies": {policy.policy: _policy_json(policy) for policy in gap.policies},
        "boards": [
            {
                "board": b.board,
                "model": b.model,
                "live_origin": b.live_origin,
                "live_link_origin": b.live_link_origin,
                "virtual_origin": "modelled",
                "profile_origin": b.profile_origin,
                "relation": b.relation,
                "circular": b.relation in {CIRCULAR, SAME_RUN},
            }
            for b in gap.boards
        ],
    }


def _policy_json(policy: PolicyGap) -> dict[str, Any]:
    return {
        "requests": policy.requests,
        "pairs": policy.pairs,
        "live_origin": policy.live_origin,
        "virtual_origin": policy.virtual_origin,
        "model_bench": {"counts": not policy.bench, "reason": policy.bench or None},
        "figures": {row.metric: _row_json(row) for row in policy.rows},
        "split_ms": {
            "pairs": policy.split_pairs,
            "same_path_frac": policy.same_path_frac,
            "response": _row_json(policy.split_total),
            "terms": {row.metric: _row_json(row) for row in policy.split},
            "residual_ms": policy.residual_ms,
        },
    }


def _row_json(row: GapRow) -> dict[str, Any]:
    return {
        "live": row.live,
        "virtual": row.virtual,
        "difference": row.difference.value,
        "ci": interval(row.difference),
        "n": row.difference.n,
        "by_block": list(row.by_block),
        "reason": row.difference.reason or None,
    }


def _figures(gap: Gap) -> Table:
    body = [
        (
            policy.policy,
            *_cells(row),
            f"{row.difference.n}",
            policy.live_origin or words.NONE,
            policy.virtual_origin or words.NONE,
        )
        for policy in gap.policies
        for row in policy.rows
    ]
    reasons = {
        f"{policy.policy}: {_METRICS[row.metric][0]} "
        f"{'withheld' if row.difference.value is None else 'without interval'}: {row.difference.reason}": None
        for policy in gap.policies
        for row in policy.rows
        if row.difference.reason
    }
    bench = {
        f"{policy.policy}: no gap between model and bench: {policy.bench}": None
        for policy in gap.policies
        if policy.bench
    }
    return Table(
        title="Gap: live - virtual time, over the same requests",
        head=("policy", "figure", "live", "virtual", "live - virtual", "pairs", "live is", "virtual is"),
        body=tuple(body),
        names=2,
        remarks=(
            *reasons,
            *bench,
            "intervals at 95 %: paired bootstrap, neighbours drawn together and replicates first; energy: 1.96 times "
            "the uncertainties of both sides, over the boards whose energy both know; the model's is its "
            "profile's, which an emulated board shares, so there the interval is wider than need be",
        ),
    )


def _cells(row: GapRow) -> tuple[str, str, str, str]:
    name, unit, scale = _METRICS[row.metric]
    if unit == "points":
        sides = (words.percent(row.live), words.percent(row.virtual))
    else:
        sides = (words.number(row.live), words.number(row.virtual))
    return name, *sides, words.estimated(row.difference, unit, scale=scale, signed=True)


def _split(gap: Gap) -> Table:
    body: list[tuple[str, ...]] = []
    for policy in gap.policies:
        body.extend(
            (
                policy.policy,
                row.metric,
                words.number(row.live),
                words.number(row.virtual),
                words.estimated(row.difference, "ms", signed=True),
                words.share_of(row.difference.value, policy.split_total.difference.value),
                str(row.difference.n),
            )
            for row in (*policy.split, policy.split_total)
        )
    checks = [
        f"{p.policy}: terms - response = {words.number(p.residual_ms)} ms; {words.percent(p.same_path_frac)} of the "
        f"pairs took the same boards on both sides"
        for p in gap.policies
        if p.residual_ms is not None
    ]
    return Table(
        title="What explains the gap of the mean response time (ms a request)",
        head=("policy", "term", "live", "virtual", "live - virtual", "share", "pairs"),
        body=tuple(body),
        names=2,
        remarks=(
            *checks,
            "queueing: held by the policy, waiting for the link and on the board; transfer: on the wire both ways; "
            "service: start to finish on the board; overhead: the rest, our own dispatch (lateness, decide, encode, "
            "record)",
        ),
    )


def _boards(gap: Gap) -> Table:
    source = f"run {gap.source.run} of {gap.source.created[:19]}"
    return Table(
        title="What the gap of a board can mean",
        head=(
            "board",
            "model",
            "live service",
            "live link",
            "profile is",
            "so the gap of its service time is",
        ),
        body=tuple(
            (b.board, b.model, b.live_origin, b.live_link_origin, b.profile_origin, _meaning(b, source))
            for b in gap.boards
        ),
        names=6,
        remarks=(
            f"profiles and links of the model: as seen by {source}"
            + (", the very run compared: circular for the host too" if gap.source_is_live else ""),
        ),
    )


def _meaning(board: BoardGap, source: str) -> str:
    return _RELATIONS[board.relation].format(source=source)
