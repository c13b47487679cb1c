"""The command that measures a model on a board and writes its profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.table import Table

from testbed import resources
from testbed.cli.arguments import again
from testbed.cli.bench import task_of
from testbed.errors import ConfigError, StoreError
from testbed.units import from_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from testbed.campaign.profiling.plan import Plan
    from testbed.cli.terminal import Terminal
    from testbed.model.profile import HwProfile


def profile(
    terminal: Terminal,
    plan: Plan,
    *,
    lab: str,
    out: Path | None,
    catalog: Path | None,
    power_mode: int | None,
    resume: bool,
    wait_s: float = 0.0,
) -> None:
    """Measure a model on a board, and write the profile.

    Raises:
        ConfigError: no such board or model, a file that could not be read back, or a journal of something else.
        LinkError, BoardError, MeterError: the board or its meter did not do it. StoreError: the journal failed.
        LeaseError: somebody else has the board.
    """
    from testbed.campaign.profiling.profile import profile_board
    from testbed.coordinator.labfile import read_lab
    from testbed.store.profile_checks import check_profile, shortcomings
    from testbed.store.profile_writer import write_profile

    read = read_lab(resources.lab(lab))
    task, folder = task_of(catalog)
    file = out if out is not None else Path("hwprofiles") / plan.board / f"{plan.model}.toml"
    if file.name != f"{plan.model}.toml":
        cure = f"Give {Path(plan.board) / plan.model}.toml"
        raise ConfigError("a profile goes by the name of its model", key="--out", cure=cure)
    journal = file.with_suffix(".journal.jsonl")
    try:
        made = profile_board(
            read,
            plan,
            task=task,
            journal=journal,
            catalog=folder,
            folder=file.resolve().parent.name,
            power_mode=power_mode,
            resume=resume,
            wait=from_s(wait_s),
            progress=terminal,
        )
    except (ConfigError, StoreError):
        raise  # they say themselves what is wrong with this command, or with the journal
    except BaseException:
        if journal.is_file():
            terminal.done()
            terminal.note(f"to measure the rest: {again('--resume')}")
        raise
    check_profile(made, file)
    write_profile(made, file)
    missing = shortcomings(made)
    if terminal.json:
        terminal.emit(
            {"schema": 1, "file": str(file), "profile": msgspec.to_builtins(made), "shortcomings": missing}
        )
        return
    terminal.show(*tables(made, plan.board), f"written to {file}")
    remarks = made.provenance.remarks if made.provenance is not None else ()
    for text in (*remarks, *missing):
        terminal.show(f"  mind: {text}")


def tables(made: HwProfile, board: str) -> list[RenderableType]:
    """Times, energies and concurrency of a profile for a person."""
    title = f"{made.model} on {board}: service time in ms, {made.service[0].origin.value}"
    heads = (
        "exit",
        "batch",
        "n",
        "warm-up",
        "p5",
        "p50",
        "95 % of it",
        "p95",
        "p99",
        "95 % of it",
        "stopped by",
    )
    times = Table(*heads, title=title, title_justify="left")
    for row in made.service:
        p5, p50, p95, p99 = (f"{row.quantile(q) / 1e6:.3f}" for q in (0.05, 0.5, 0.95, 0.99))
        middle, tail = (" to ".join(f"{end:.3f}" for end in ms) or "-" for ms in (row.p50_ms, row.p99_ms))
        times.add_row(
            *(str(x) for x in (row.exit, row.batch, row.n, row.warmup, p5, p50, middle, p95, p99, tail)),
            row.stopped or "-",
        )
    shown: list[RenderableType] = [times]
    if made.concurrent:
        together = Table(
            *("exit", "batch", "instances", "beside", "n", "p50", "p99", "items/s", "stopped by"),
            title="more than one at a time",
            title_justify="left",
        )
        for one in made.concurrent:
            cells: Sequence[object] = (one.exit, one.batch, one.instances, one.beside or "-", one.n)
            p50, p99 = (f"{one.ms[one.p.index(q)]:.3f}" for q in (0.5, 0.99))
            together.add_row(*map(str, cells), p50, p99, f"{one.items_per_s:.1f}", one.stopped or "-")
        shown.append(together)
    if made.energy_mj:
        what = made.energy_mj[0].metered
        title = f"energy of one inference in mJ, {made.energy_mj[0].origin.value}, metered: {what.kind} ({what.what})"
        energies = Table("exit", "batch", "", "mJ", "sigma", "n", title=title, title_justify="left")
        for each in made.energy_mj:
            sigma = "-" if each.sigma is None else f"{each.sigma:.4g}"
            kind = "net" if each.net else "gross"
            energies.add_row(str(each.exit), str(each.batch), kind, f"{each.value:.4g}", sigma, str(each.n))
        shown.append(energies)
    named = {
        "idle": (made.idle_w, "W"),
        "active": (made.active_w, "W"),
        "load": (made.load_ms, "ms"),
        "memory": (made.memory_bytes, "bytes"),
        "round trip": (made.link_rtt_ms, "ms"),
        "link": (made.link_bytes_per_s, "bytes/s"),
        "meter renews within": (made.meter_refresh_ms, "ms"),
    }
    said = [
        f"{name} {figure.value:.6g} {unit}" for name, (figure, unit) in named.items() if figure is not None
    ]
    right = ", ".join(f"{a.value:.4f}" for a in made.accuracy)
    shown.append("; ".join([*said, f"accuracy by exit {right} ({made.accuracy[0].source})"]))
    return shown
