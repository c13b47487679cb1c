"""The commands about boards: list them, examine them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from rich.markup import escape

from testbed import resources
from testbed.cli.door import Ended, Exit
from testbed.cli.leases import pauses
from testbed.errors import LeaseError
from testbed.units import S, to_s

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cli.terminal import Terminal
    from testbed.coordinator.labfile import LabFile
    from testbed.coordinator.leasing import Grant, Leasing
    from testbed.model.ids import BoardId
    from testbed.model.lab import BoardSpec, CheckResult
    from testbed.ports import BenchMeter, CheckableBoard
    from testbed.units import Ns

GROUPS = ("boards", "carriers", "links", "meters", "switches", "policies")
CHECK_LIMIT: Ns = 120 * S
MARK = {"ok": "[green]ok[/green]", "failed": "[bold red]failed[/bold red]", "skipped": "[dim]skipped[/dim]"}


def boards(terminal: Terminal, *, lab: str) -> None:
    """Show a lab file's boards and who holds them; nothing is contacted."""
    from importlib.metadata import entry_points

    from rich.table import Table

    from testbed.cli.leases import lease_rows
    from testbed.coordinator.labfile import read_lab

    read = read_lab(resources.lab(lab))
    drivers = {group: sorted(entry_points(group=f"testbed.{group}").names) for group in GROUPS}
    leases = lease_rows(read)
    rows: dict[str, dict[str, Any]] = {
        name: {
            "kind": table.kind,
            "site": table.site,
            "models": list(table.models),
            "profiles": table.profiles,
            "driver": table.kind in drivers["boards"],
            "options": options,
            "meters": {meter: one.kind for meter, (one, _) in read.meters.items() if one.feeds == name},
            "switches": {switch: one.kind for switch, (one, _) in read.switches.items() if one.feeds == name},
            "no_driver": [
                one.kind
                for group, tables in (("meters", read.meters), ("switches", read.switches))
                for one, _ in tables.values()
                if one.feeds == name and one.kind not in drivers[group]
            ],
            "lease": leases[name],
        }
        for name, (table, options) in read.boards.items()
    }
    if terminal.json:
        document = {"schema": 1, "lab": read.name, "file": str(read.file), "boards": rows, "drivers": drivers}
        terminal.emit(document)
        return
    columns = ("board", "kind", "site", "models", "profiles", "meters, switch", "lease")
    shown = Table(*columns, title=f"lab {read.name}", title_justify="left")
    for name, row in rows.items():
        kind = escape(str(row["kind"])) + ("" if row["driver"] else " [red](no such driver)[/red]")
        models = ", ".join(read.boards[name][0].models)
        instruments = (*read.meters.items(), *read.switches.items())
        beside = ", ".join(one for one, (about, _) in instruments if about.feeds == name) or "-"
        if row["no_driver"]:
            beside += f" [red](no driver of kind {escape(', '.join(row['no_driver']))})[/red]"
        profiles = str(row["profiles"] or "measured at start")
        told = escape(str(leases[name]["told"]))
        shown.add_row(name, kind, str(row["site"]), models, profiles, beside, told)
    terminal.show(shown, "drivers: " + "; ".join(f"{g} {', '.join(n)}" for g, n in drivers.items() if n))


def doctor(
    terminal: Terminal, *, lab: str, board: str | None, catalog: Path | None, wait_s: float = 0.0
) -> None:
    """Examine boards one after the other, each result as it comes; wait so long for those that others have.

    Raises:
        LeaseError: somebody else has one of them.
        Ended: some check failed.
    """
    from testbed.campaign.bench import profile_lookup
    from testbed.campaign.data import TaskData
    from testbed.coordinator.boards import board_specs
    from testbed.coordinator.instruments import build_meters, build_switches
    from testbed.coordinator.labfile import read_lab
    from testbed.scratch import scratch_folder

    read = read_lab(resources.lab(lab))
    if board is not None:
        read = read.only(board)
    data = TaskData(*task_of(catalog))
    with scratch_folder() as state:
        specs = board_specs(read, data.models, profile_lookup(read), state, 0)
        build_switches(read)  # their tables are checked; nobody switches a board off to see whether it can be
        results = asyncio.run(_examine_leased(terminal, read, specs, build_meters(read, state), wait_s))
    failed = sorted({name for name, result in results if result.state == "failed"})
    if terminal.json:
        document = {
            "schema": 1,
            "lab": read.name,
            "ok": not failed,
            "boards": {
                name: [msgspec.to_builtins(result) for of, result in results if of == name]
                for name in read.boards
            },
        }
        terminal.emit(document)
    else:
        wrong = f"something to fix on {', '.join(failed)}" if failed else "nothing to fix"
        terminal.show(f"{len(read.boards)} board(s) examined: {wrong}")
    if failed:
        raise Ended(Exit.INFRASTRUCTURE)


def task_of(catalog: Path | None) -> tuple[str, Path | None]:
    """The task of one's own catalogue, or of the shipped one.

    Raises:
        ConfigError: no catalogue there.
    """
    if catalog is None:
        return "image-classification/fashion-mnist", None
    from testbed.zoo.catalog import load_catalog

    return load_catalog(catalog).task, catalog


async def _examine_leased(
    terminal: Terminal, lab: LabFile, specs: list[BoardSpec], meters: list[BenchMeter], wait_s: float
) -> list[tuple[str, CheckResult]]:
    """Take the boards' leases first: whoever greets a board takes it over from its holder."""
    from testbed.coordinator.boards import build_board
    from testbed.coordinator.leasing import Leasing, granted, resources_of, store_of

    resources = resources_of(lab, {spec.id: build_board(spec) for spec in specs})
    leasing = Leasing(store_of(lab), resources, length_s=lab.lease_s, purpose="doctor")
    try:
        grants = await _acquire(terminal, leasing, wait_s)
        ours = [granted(spec, grants[spec.id]) if spec.id in grants else spec for spec in specs]
        return await _examine(terminal, [(spec, build_board(spec)) for spec in ours], meters)
    finally:
        await leasing.release()


async def _acquire(terminal: Terminal, leasing: Leasing, wait_s: float) -> dict[BoardId, Grant]:
    """Hold all boards; wait for those that somebody else has, and say once who that is."""
    pause = pauses(terminal, wait_s)
    while True:
        try:
            return await leasing.acquire()
        except LeaseError as error:
            await asyncio.sleep(pause(error))


async def _examine(
    terminal: Terminal, boards: list[tuple[BoardSpec, CheckableBoard]], meters: list[BenchMeter]
) -> list[tuple[str, CheckResult]]:
    """Run every board's checks and those of the meters beside it, showing each result at once."""
    from testbed.coordinator.instruments import examine_meter

    results = []

    def show(board: str, result: CheckResult) -> None:
        results.append((board, result))
        terminal.show(f"  {MARK[result.state]} {result.step}: {escape(result.finding)}")
        if result.cure and result.state == "failed":
            terminal.show(f"      → {escape(result.cure)}")

    for spec, board in boards:
        spec.state.mkdir(parents=True, exist_ok=True)
        terminal.show(f"[bold]{spec.id}[/bold] ({spec.kind}, {spec.site})")
        async with asyncio.timeout(to_s(CHECK_LIMIT)):
            async for result in board.checks():
                show(spec.id, result)
        for meter in meters:
            if meter.feeds == spec.id:
                show(spec.id, await examine_meter(meter))
    return results
