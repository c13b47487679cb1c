"""Tables of a study of energy per request against accuracy target: one per task and what is metered, never mixed."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from testbed.report import words
from testbed.report.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.store.study import Study

Row = dict[str, Any]

NO_MIX = "Energies metered differently, or of different tasks, share no table, no axis and no ratio."


def energy_tables(study: Study) -> tuple[Table, ...]:
    """Everything, in the order of reading: what a board draws at rest first, since it is most of it."""
    made = [_at_rest(study)]
    for task, metered in panels_of(study):
        here = [row for row in shown(study) if (row["task"], row.get("metered")) == (task, metered)]
        title = f"{task}, metered: {metered}"
        made += [
            _edge(title, of(here, "edge")),
            _rates(title, of(here, "rate"), study.spec["max_utilisation"]),
            _pairs(title, of(here, "pair")),
            _parity(title, [row for row in of(study.rows, "pair") if _in(row, task, metered)], study),
            _cascade(title, of(here, "cascade")),
        ]
    made.append(_bounds(of(study.rows, "bound")))
    return tuple(table for table in made if table.body)


def of(rows: Iterable[Row], tag: str) -> list[Row]:
    """Rows of one kind."""
    return [row for row in rows if row["row"] == tag]


def panels_of(study: Study) -> list[tuple[str, str]]:
    """Task and what is metered, in order."""
    return list(dict.fromkeys((row["task"], row["metered"]) for row in of(study.rows, "idle")))


def shown(study: Study) -> Iterator[Row]:
    """Rows at targets that get a line, and those of no target."""
    lines = {task["task"]: set(task["shown"] or task["targets"]) for task in study.spec["tasks"]}
    return (row for row in study.rows if "target" not in row or row["target"] in lines[row["task"]])


def origins_of(rows: Iterable[Row]) -> str:
    """Which origins there are among rows, in words."""
    found = list(dict.fromkeys(row["origin"] for row in rows if row["origin"] is not None))
    return ", ".join(sorted(found)) or "none"


def _in(row: Row, task: str, metered: str) -> bool:
    return bool(row["task"] == task and row["metered"] == metered)


def _at_rest(study: Study) -> Table:
    rows = of(study.rows, "idle")
    return Table(
        title="Power of a board that waits",
        head=("board", "task", "metered", "rungs", "at rest W", "origin"),
        body=tuple(
            (
                row["board"],
                row["task"],
                f"{row['metered']}: {'; '.join(row['what'])}",
                str(row["rungs"]),
                _range(row["idle_low_w"], row["idle_high_w"]),
                row["origin"],
            )
            for row in rows
        ),
        names=3,
        remarks=("booted and waiting, not asleep; a range where the stacks differ", NO_MIX),
    )


def _edge(title: str, rows: list[Row]) -> Table:
    return Table(
        title=f"Board alone, one request after the other ({title})",
        head=(
            "target",
            "board",
            "rung",
            "accuracy",
            "p50 ms",
            "W",
            "gross mJ",
            "net mJ",
            "at rest",
            "origin",
        ),
        body=tuple(
            (
                words.percent(row["target"]),
                row["board"],
                row["model"] or "none reaches it",
                words.percent(row["accuracy"]),
                words.number(row["p50_ms"]),
                words.number(row["active_w"]),
                _with(row["gross_mj"], row["sigma_mj"]),
                _with(row["net_mj"], row["net_sigma_mj"]),
                words.share_of(row["idle_mj"], row["gross_mj"]),
                row["origin"] or words.NONE,
            )
            for row in sorted(rows, key=lambda row: row["target"])
        ),
        names=3,
        remarks=(
            "rung: that of least gross energy whose printed accuracy reaches the target; net: less what the board at "
            "rest draws in the same time, which is the share in the next column; ±: standard uncertainty, of the meter "
            "(assumed) and of the level at rest",
        ),
    )


def _rates(title: str, rows: list[Row], most: float) -> Table:
    rates = sorted({row["rate_hz"] for row in rows})
    keyed = {(row["target"], row["board"], row["rate_hz"]): row for row in rows}
    places = sorted(dict.fromkeys((row["target"], row["board"]) for row in rows), key=lambda place: place[0])
    return Table(
        title=f"Board alone at a rate: power, and share of it that is drawn at rest ({title})",
        head=("target", "board", *(f"{rate:g} a second" for rate in rates), "origin"),
        body=tuple(
            (
                words.percent(target),
                board,
                *(_drawn(keyed[target, board, rate]) for rate in rates),
                origins_of(keyed[target, board, rate] for rate in rates),
            )
            for target, board in places
        ),
        names=2,
        remarks=(
            "power at rest plus rate times net energy: computed from published levels, on the assumption that a board "
            f"falls back to its level at rest at once; -: no rung keeps up (busy over {words.percent(most)}), "
            "reaches the target, or has a level at rest",
        ),
    )


def _pairs(title: str, rows: list[Row]) -> Table:
    """Each board against the one that needs least at the target."""
    body = []
    for target, group in groupby(sorted(rows, key=lambda row: row["target"]), lambda row: row["target"]):
        here = list(group)
        least = min(here, key=lambda row: row["second_mj"])["second"]
        body += [
            (
                words.percent(target),
                f"{row['first']} / {least}",
                _interval(row),
                words.number(row["one_stack_ratio"]),
                words.number(row["net_ratio"]),
                words.number(row["p50_ratio"]),
                words.number(row["power_ratio"]),
                words.number(row["even_hz"]),
                row["origin"],
            )
            for row in here
            if row["second"] == least
        ]
    return Table(
        title=f"Ratios to the board that needs least ({title})",
        head=(
            "target",
            "boards",
            "gross energy",
            "one stack",
            "net",
            "p50",
            "W at work",
            "even at /s",
            "origin",
        ),
        body=tuple(body),
        names=2,
        remarks=(
            "[95 % interval]: both meters, and the target moved by what the accuracies are uncertain by; one stack: "
            "gross energy with each board held to its first stack; even at: requests a second at which both draw the "
            "same; all other pairs are in the JSON",
            "a ratio of two assumed profiles is no result and is withheld",
        ),
    )


def _parity(title: str, rows: list[Row], study: Study) -> Table:
    body = []
    targets = sorted({row["target"] for row in rows})
    pairs = dict.fromkeys(tuple(sorted((row["first"], row["second"]))) for row in rows)
    for one, other in pairs:
        mine = [row for row in rows if {row["first"], row["second"]} == {one, other}]
        alike = {kind: [row for row in mine if kind in row["parity"]] for kind in ("energy", "p50")}
        if not any(alike.values()):
            continue
        powers = [
            row["power_ratio"] if row["first"] == one else 1 / row["power_ratio"] for row in alike["p50"]
        ]
        body.append(
            (
                f"{one} / {other}",
                _levels(alike["energy"], targets),
                _levels(alike["p50"], targets),
                _range(min(powers), max(powers)) if powers else words.NONE,
            )
        )
    return Table(
        title=f"Parity: targets at which two boards are alike ({title})",
        head=("boards", "energy", "p50", "W at work there"),
        body=tuple(body),
        remarks=(
            f"alike: within {words.percent(study.spec['parity_frac'])}, each with its rung of least gross energy; "
            "W at work there: first over second where their p50 is alike; [in brackets]: one board has no rung below "
            "the target, so that it answers with more than is asked for, and the level counts in no headline",
        ),
    )


def _cascade(title: str, rows: list[Row]) -> Table:
    return Table(
        title=f"Small rung and a server for the rest ({title})",
        head=(
            "target", "board", "frontend", "alone mJ", "frontend mJ", "server mJ", "break-even", "travel", "pair mJ",
            "pays",
        ),
        body=tuple(
            (
                words.percent(row["target"]),
                row["board"],
                row["frontend"],
                words.number(row["edge_mj"]),
                words.number(row["frontend_mj"]),
                words.number(row["backend_mj"]),
                words.percent(row["break_even"]),
                f"{row['offload_low'] * 100:.0f} to {row['offload_high'] * 100:.0f} %",
                words.number(row["pair_mj"]),
                words.NONE if row["pays"] is None else "yes" if row["pays"] else "no",
            )
            for row in sorted(rows, key=lambda row: row["target"])
        ),
        names=3,
        remarks=(
            f"break-even ({'; '.join(dict.fromkeys(row['break_even_origin'] for row in rows)) or 'none'}): share that "
            "may travel before the pair needs more than the board alone; travel, pair, pays: assumed, from confidences "
            "of other models on another task, at the same share of the way between two accuracies",
            "the frontend is the one for which the pair needs least under that assumption; the network's energy is "
            "left out and the server is fully busy, both in favour of the pair",
        ),
    )  # fmt: skip


def _bounds(rows: list[Row]) -> Table:
    return Table(
        title="Across what is metered: a whole that needs less than another board's part",
        head=("task", "target", "needs more", "needs less", "at least", "accuracy", "origin"),
        body=tuple(
            (
                row["task"],
                words.percent(row["target"]),
                f"{row['first']}, {row['first_metered']} alone: {words.number(row['first_mj'])} mJ",
                f"{row['second']}, {row['second_metered']}: {words.number(row['second_mj'])} mJ",
                f"{words.number(row['at_least'])} times",
                f"{row['accuracy_points']:+.1f}"
                + ("" if row["sigma_points"] is None else f" ± {row['sigma_points']:.1f}")
                + " points",
                row["origin"],
            )
            for row in rows
        ),
        names=4,
        remarks=(
            "no ratio: a part draws less than its whole, so the quotient is a lower bound of the ratio of the whole "
            "boards, one request after the other; the other way round, and of boards that rest in between, nothing "
            "follows",
            "accuracy: of the one that needs less, minus the other's, ± standard uncertainty of two such test sets",
        ),
    )


def _with(value: float | None, sigma: float | None) -> str:
    return words.number(value) if sigma is None else f"{words.number(value)} ± {words.number(sigma, 2)}"


def _range(low: float, high: float) -> str:
    texts = dict.fromkeys((words.number(low), words.number(high)))
    return " to ".join(texts)


def _drawn(row: Row) -> str:
    if row["power_w"] is None:
        return words.NONE
    return f"{words.number(row['power_w'])} W, {row['idle_frac'] * 100:.0f} %"


def _interval(row: Row) -> str:
    if row["energy_ratio"] is None:
        return "withheld"
    low, high = words.number(row["energy_low"]), words.number(row["energy_high"])
    return f"{words.number(row['energy_ratio'])} [{low}, {high}]"


def _levels(rows: list[Row], targets: list[float]) -> str:
    """Targets, neighbours joined; in brackets those that a board's rungs do not reach down to."""
    places = {row["target"]: row["matched"] for row in rows}
    runs: list[tuple[bool, list[float]]] = []
    for before, target in zip([None, *targets], targets, strict=False):
        if target not in places:
            continue
        if runs and runs[-1][0] == places[target] and runs[-1][1][-1] == before:
            runs[-1][1].append(target)
        else:
            runs.append((places[target], [target]))
    texts = [" to ".join(dict.fromkeys((f"{run[0] * 100:g}", f"{run[-1] * 100:g}"))) for _, run in runs]
    said = (text if matched else f"[{text}]" for (matched, _), text in zip(runs, texts, strict=True))
    return ", ".join(said) + " %" if runs else words.NONE
