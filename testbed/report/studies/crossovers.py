"""A grid over the way to the data centre: who is how fast, what is missed and sent, and what sending takes."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from testbed.report import words
from testbed.report.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.store.study import Study

WAY = ("deadline_ms", "uplink", "payload_bytes", "load", "levels", "rtt_ms")
HEADS = {
    "deadline_ms": "deadline ms",
    "uplink": "uplink Mbit/s",
    "payload_bytes": "input bytes",
    "load": "load",
    "levels": "targets",
    "rtt_ms": "round trip ms",
}


def crossover_tables(study: Study) -> tuple[Table, ...]:
    """Where the better one changes, then every cell; nothing for a grid that does not ask for it."""
    if not study.spec.get("crossover"):
        return ()
    return (
        _crossovers(study),
        _by_cell(study, "P99 ms by cell", lambda rows: spread(rows, "p99_ms")),
        _by_cell(study, "p50 ms by cell", lambda rows: spread(rows, "p50_ms")),
        _by_cell(study, "Late or never, by cell", lambda rows: _percents(rows, "missed_frac")),
        _by_cell(study, "kB sent to the data centre a request, by cell", _kilobytes),
        _radios(study),
    )


def varied(study: Study, names: Sequence[str] = WAY) -> list[str]:
    """Factors with more than one level."""
    cells = [row["cell"] for row in study.rows if row["what"] == "trial"]
    return [name for name in names if len({cell.get(name) for cell in cells}) > 1]


def level(cell: dict[str, Any], name: str) -> str:
    """A level of a factor; a file by its name."""
    value = cell.get(name)
    if isinstance(value, str):
        return value.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return words.NONE if value is None else f"{value:g}"


def spread(rows: list[dict[str, Any]], key: str) -> str:
    """Median over seeds with the least and the largest."""
    values = [row[key] for row in rows]
    if any(v is None for v in values):
        return "never"
    if len(values) == 1:
        return words.number(values[0])
    return f"{words.number(statistics.median(values))} [{words.number(min(values))}, {words.number(max(values))}]"


def _percents(rows: list[dict[str, Any]], key: str) -> str:
    values = [row[key] for row in rows]
    return f"{words.percent(statistics.median(values))} [{words.percent(min(values))}, {words.percent(max(values))}]"


def _kilobytes(rows: list[dict[str, Any]]) -> str:
    return words.number(statistics.median(row["uplink_bytes"] for row in rows) / 1e3)


def _order(cell: dict[str, Any]) -> tuple[tuple[bool, float, str], ...]:
    """Numbers by size, then names."""
    found = []
    for name in WAY:
        value = cell.get(name)
        found.append((isinstance(value, str), 0.0 if isinstance(value, str) else value or 0.0, str(value)))
    return tuple(found)


def _by_cell(study: Study, title: str, show: Callable[[list[dict[str, Any]]], str]) -> Table:
    names = varied(study)
    policies = list(study.spec["policies"])
    cells: dict[str, tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]] = {}
    for row in study.rows:
        if row["what"] == "trial":
            _, of_cell = cells.setdefault(str(sorted(row["cell"].items())), (row["cell"], {}))
            of_cell.setdefault(row["policy"], []).append(row)
    body = [
        (*(level(cell, name) for name in names), *(show(rows[policy]) for policy in policies))
        for cell, rows in sorted(cells.values(), key=lambda found: _order(found[0]))
    ]
    return Table(
        title=title,
        head=(*(HEADS[name] for name in names), *policies),
        body=tuple(body),
        names=len(names),
        remarks=("median over seeds [least, largest]",),
    )


def _crossovers(study: Study) -> Table:
    names = [name for name in varied(study) if name != "rtt_ms"]
    pair = study.spec["crossover"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(
        (row for row in study.rows if row["what"] == "crossover"), key=lambda row: _order(row["cell"])
    ):
        groups.setdefault(f"{sorted(row['cell'].items())} {row['quantile']}", []).append(row)
    body = [
        (
            *(level(rows[0]["cell"], name) for name in names),
            rows[0]["quantile"],
            ", ".join(
                f"{side} ({sum(row['better'] == side for row in rows)})"
                for side in dict.fromkeys(row["better"] for row in rows)
            ),
            spread(known, "rtt_ms")
            if (known := [row for row in rows if row["rtt_ms"] is not None])
            else words.NONE,
            " ".join(_ratio(rows, place) for place in range(len(rows[0]["ratios"]))),
        )
        for rows in groups.values()
    ]
    trips = ", ".join(f"{rtt:g}" for rtt, _ in next(iter(groups.values()))[0]["ratios"]) if groups else ""
    return Table(
        title=f"Where {pair['other']} is better than {pair['one']}",
        head=(
            *(HEADS[name] for name in names),
            "quantile",
            "better at round trips (seeds)",
            "crossover ms",
            f"ratio at {trips} ms",
        ),
        body=tuple(body),
        names=len(names) + 2,
        remarks=(
            f"better: lower by more than {words.percent(pair['margin_frac'])}; crossover: where that ends or begins, "
            "median over the seeds that have one [least, largest]",
            "times: modelled (virtual time); ratio: median over seeds, - where one of the two is late for ever",
        ),
    )


def _ratio(rows: list[dict[str, Any]], place: int) -> str:
    known = [row["ratios"][place][1] for row in rows]
    return words.NONE if None in known else f"{statistics.median(known):.2f}"


def _radios(study: Study) -> Table:
    """At the operating point."""
    sent: dict[str, list[float]] = {}
    for row in study.rows:
        if row["what"] == "trial" and row["cell"] == study.spec["operating"]:
            sent.setdefault(row["policy"], []).append(row["uplink_bytes"])
    radios = study.spec["radios"]
    body = [
        (
            policy,
            words.number(statistics.median(bytes_) / 1e3),
            *(
                words.number(radio["up_mw_per_mbit_s"] * statistics.median(bytes_) * 8 / 1e6)
                for radio in radios.values()
            ),
        )
        for policy, bytes_ in sent.items()
    ]
    return Table(
        title="Energy of sending a request's inputs, at the operating point",
        head=("policy", "kB", *(f"{name} mJ" for name in radios)),
        body=tuple(body),
        remarks=(
            "slope of power over rate times what was sent; the power of being connected and the tail of a transfer are "
            "not included",
            *(
                f"{name}: {radio['up_mw_per_mbit_s']:g}"
                + ("" if radio["sigma"] is None else f" ± {radio['sigma']:g}")
                + f" mW per Mbit/s, {radio['source']}"
                for name, radio in radios.items()
            ),
        ),
    )
