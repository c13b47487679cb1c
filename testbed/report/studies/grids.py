"""A grid of cells as tables: who is how fast at the operating point, and where a gain is none."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from testbed.report import words
from testbed.report.studies.crossovers import HEADS, WAY, crossover_tables, level, spread, varied
from testbed.report.table import Table

if TYPE_CHECKING:
    from testbed.store.study import Study


def grid_tables(study: Study) -> tuple[Table, ...]:
    """The operating point, then the surface of the subject's gain, and where two contenders change places."""
    return _point(study), _targets(study), _surface(study), *crossover_tables(study)


def _here(study: Study) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in study.rows:
        if row["what"] == "trial" and row["cell"] == study.spec["operating"]:
            found.setdefault(row["policy"], []).append(row)
    return found


def _middle(rows: list[dict[str, Any]], key: str) -> float | None:
    values = [row[key] for row in rows]
    return None if any(v is None for v in values) else statistics.median(values)


def _point(study: Study) -> Table:
    point = study.spec["operating"]
    body = [
        (
            name,
            "ours" if rows[0]["ours"] else "baseline",
            spread(rows, "p50_ms"),
            spread(rows, "p99_ms"),
            words.percent(_middle(rows, "accuracy")),
            f"{sum(row['meets'] for row in rows)} of {len(rows)}",
            words.percent(_middle(rows, "offload_frac")),
            words.percent(_middle(rows, "dc_busy_frac")),
            words.percent(_middle(rows, "missed_frac")),
            words.number(_middle(rows, "loads")),
            _cancelled(rows),
        )
        for name, rows in _here(study).items()
    ]
    return Table(
        title=f"Operating point: round trip {point['rtt_ms']:g} ms, load {point['load']:g}, {point['levels']} targets"
        + "".join(f", {HEADS[name]} {level(point, name)}" for name in ("uplink", "deadline_ms") if name in point),
        head=(
            "policy", "", "p50 ms", "p99 ms", "accuracy", "meets in", "offloaded", "data centre busy", "missed",
            "loads", "cancelled",
        ),
        body=tuple(body),
        names=2,
        remarks=(
            f"{study.spec['workload']['requests']} requests a policy and seed, median over seeds [least, largest]; "
            "p99: of all requests, one without an answer is late for ever (never)",
            "meets in: seeds in which no target's whole 95 % interval lies below it and 99 % were answered; who counts "
            "as a baseline is decided over all seeds together; cancelled: before start / too late",
            "times: modelled (virtual time on assumed pacing after cited boards); accuracy: measured (stored answers)",
        ),
    )  # fmt: skip


def _cancelled(rows: list[dict[str, Any]]) -> str:
    first = rows[0]["cancelled"]
    return f"{first['before_start']} / {first['too_late']}" if any(first.values()) else words.NONE


def _targets(study: Study) -> Table:
    body = []
    for name, rows in _here(study).items():
        for target in rows[0]["targets"]:
            same = [t for row in rows for t in row["targets"] if t["target"] == target["target"]]
            asked = sum(t["requests"] for t in same)
            body.append(
                (
                    name,
                    words.percent(target["target"]),
                    words.percent(sum(t["right"] for t in same) / asked),
                    f"{sum(t['reached'] for t in same)} of {len(same)}",
                    spread(same, "p99_ms"),
                )
            )
    return Table(
        title="P99 by accuracy target, at the operating point",
        head=("policy", "target", "right of all asked", "reached in", "p99 ms"),
        body=tuple(body),
        names=2,
    )


def _gain(rows: list[dict[str, Any]]) -> str:
    """Over the seeds that have one."""
    known = [row for row in rows if row["gain"] is not None]
    if not known:
        return words.NONE
    seeds = "" if len(known) == len(rows) else f", {len(known)} of {len(rows)} seeds"
    return spread(known, "gain") + seeds


def _best(rows: list[dict[str, Any]]) -> str:
    """The best baselines of the seeds, or why there is none."""
    return ", ".join(dict.fromkeys(row["best"] for row in rows))


def _missed(rows: list[dict[str, Any]]) -> str:
    """What the subject paid for its tail with."""
    known = [row["missed_frac"] for row in rows if row.get("missed_frac") is not None]
    return words.percent(statistics.median(known)) if known else words.NONE


def _surface(study: Study) -> Table:
    subject = study.spec["subject"]
    names = ["rtt_ms", "load", "levels"]
    names += [name for name in varied(study, WAY) if name not in names]
    by_cell: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in study.rows:
        if row["what"] == "gain" and row["subject"] == subject:
            key = tuple(row["cell"].get(name) for name in names)
            by_cell.setdefault(key, []).append(row)
    body = [
        (
            *(level(rows[0]["cell"], name) for name in names),
            _gain(rows),
            _best(rows),
            _missed(rows),
            "below 1" if any(r["gain"] is not None and r["gain"] < 1 for r in rows) else "",
        )
        for _, rows in sorted(by_cell.items(), key=lambda found: [(isinstance(v, str), v) for v in found[0]])
    ]
    return Table(
        title=f"P99 of the best baseline that keeps the accuracy over that of {subject}",
        head=(*(HEADS[name] for name in names), "gain", "best baseline", "ours late or never", ""),
        body=tuple(body),
        names=0,
        remarks=(
            "gain: median over seeds [least, largest], each on the same arrivals",
            "load: arrivals over what the data centre alone could serve; "
            f"{study.spec['other_seeds']} seed(s) but at the operating point",
        ),
    )
