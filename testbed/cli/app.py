"""The commands and their arguments; what they do is one door further."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.door import door
from testbed.cli.options import Catalog, Debug, Json, Lab
from testbed.cli.published import imports, profiles

app = typer.Typer(
    name="testbed",
    help="Hardware-in-the-loop testbed for modeless inference at the edge.",
    epilog="Exit codes: 0 pass, 1 limit or accuracy missed, 2 usage, 3 infrastructure, 4 time-out, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long for boards that others have."),
]
Boards = Annotated[list[str], typer.Argument(metavar="LAB/BOARD...", help="Boards; LAB alone for all of it.")]


@app.command()
def run(
    experiment: Annotated[
        str | None, typer.Argument(help="Folder of an experiment, or the name of a shipped one: 00-hello.")
    ] = None,
    lab: Annotated[
        str | None, typer.Option("--lab", metavar="FILE", help="Lab to use instead of its own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder to make (default: runs/NAME-TIME).")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Complete this run folder.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Use instead of the experiment's own seed.")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", metavar="N", help="In virtual time: N seeds side by side, and what they say together."
        ),
    ] = None,
    virtual_time: Annotated[
        bool, typer.Option("--virtual-time", help="Play it in virtual time, on boards drawn from profiles.")
    ] = False,
    after: Annotated[
        Path | None,
        typer.Option(
            "--after",
            metavar="DIR",
            help="Live run that says how the lab is, for virtual time (default: the latest one in runs/).",
        ),
    ] = None,
    gap: Annotated[
        bool, typer.Option("--gap", help="Play it live, then in virtual time, and show the gap.")
    ] = False,
    wait: Wait = 0.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Play an experiment on a lab, and report what came out."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import runs, studies

        folder = studies.study_of(experiment)
        if folder is not None:
            given = {
                "--lab": lab is not None,
                "--resume": resume is not None,
                "--virtual-time": virtual_time,
                "--after": after is not None,
                "--gap": gap,
                "--seeds": seeds is not None,
            }
            studies.run(terminal, folder, seed=seed, out=out, given=given)
            return
        if seeds is not None:
            from testbed.cli.seeds import refuse_seeds

            refuse_seeds(virtual_time=virtual_time and not gap, seeds=seeds)
        if gap:
            runs.refuse_with_gap(virtual_time=virtual_time, resume=resume)
            runs.run_gap(
                terminal, experiment=experiment, lab=lab, out=out, seed=seed, after=after, wait_s=wait
            )
        elif virtual_time or after is not None:
            runs.run_virtual(
                terminal,
                experiment=experiment,
                lab=lab,
                out=out,
                resume=resume,
                seed=seed,
                after=after,
                seeds=seeds,
            )
        else:
            runs.run(terminal, experiment=experiment, lab=lab, out=out, resume=resume, seed=seed, wait_s=wait)


@app.command()
def boards(lab: Lab = "virtual", json: Json = False, debug: Debug = False) -> None:
    """List the boards of a lab and who holds them, without touching them, and the drivers that are installed."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import bench

        bench.boards(terminal, lab=lab)


@app.command()
def acquire(
    names: Boards,
    wait: Wait = 0.0,
    duration: Annotated[str, typer.Option("--for", help="How long: 90s, 30m, 2h or 1d; up to 30d.")] = "1h",
    purpose: Annotated[str, typer.Option("--purpose", help="What for, shown to others.")] = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Reserve boards, all or none: your own runs may use them, everybody else waits."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import leases

        leases.acquire(terminal, names, wait_s=wait, duration=duration, purpose=purpose)


@app.command()
def release(
    names: Boards,
    force: Annotated[
        bool, typer.Option("--force", help="Also what others have reserved or hold; their runs end.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Give boards back before their time is over."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import leases

        leases.release(terminal, names, force=force)


@app.command()
def doctor(
    board: Annotated[str | None, typer.Argument(help="Only this board.")] = None,
    lab: Lab = "virtual",
    wait: Wait = 0.0,
    catalog: Catalog = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check every board of a lab step by step, and say what to fix."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import bench

        bench.doctor(terminal, lab=lab, board=board, catalog=catalog, wait_s=wait)


@app.command()
def profile(
    board: Annotated[str | None, typer.Argument(help="Board in the lab file.")] = None,
    model: Annotated[str | None, typer.Argument(help="Model in the catalogue.")] = None,
    lab: Lab = "virtual",
    the_board: Annotated[str | None, typer.Option("--board", help="The same by name.")] = None,
    the_model: Annotated[str | None, typer.Option("--model", help="The same by name.")] = None,
    batch: Annotated[list[str] | None, typer.Option(help="Batch sizes: 1,2,4.")] = None,
    instances: Annotated[list[str] | None, typer.Option(help="Copies at a time: 1,2,4.")] = None,
    beside: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A second model that runs meanwhile.")
    ] = None,
    power_mode: Annotated[int | None, typer.Option(help="Held while it is measured, then put back.")] = None,
    repeats: Annotated[
        int | None, typer.Option(min=10, help="Executions per cell, whatever the precision.")
    ] = None,
    p99: Annotated[bool, typer.Option("--p99", help="The p99 must be precise too.")] = False,
    ci_frac: Annotated[float, typer.Option(help="Width of an interval, relative to its quantile.")] = 0.05,
    budget_s: Annotated[float, typer.Option(help="Seconds for repeating timed executions.")] = 120.0,
    energy_s: Annotated[float, typer.Option(help="Seconds of work behind an energy; 0: none.")] = 10.0,
    accuracy_s: Annotated[
        float, typer.Option(help="Seconds for the calibration set; more: stored, audited.")
    ] = 60.0,
    loads: Annotated[int, typer.Option(min=1, help="How often the model is loaded anew.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of blocks.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was interrupted.")] = False,
    wait: Wait = 0.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR/MODEL.toml",
            help="File, named after the model (default: hwprofiles/BOARD/MODEL.toml).",
        ),
    ] = None,
    catalog: Catalog = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a model on a board: times, power, load, accuracy; and write an hwprofile."""
    with door(json=json, debug=debug) as terminal:
        from testbed.campaign.profiling.plan import Plan
        from testbed.cli import arguments, profiling

        plan = Plan(
            board=arguments.either(board, the_board, "--board"),
            model=arguments.either(model, the_model, "--model"),
            batches=arguments.numbers(batch or ["1"], "--batch"),
            instances=arguments.numbers(instances or ["1"], "--instances"),
            beside=beside or "",
            repeats=repeats,
            p99=p99,
            ci_frac=ci_frac,
            budget_s=budget_s,
            energy_s=energy_s,
            accuracy_s=accuracy_s,
            loads=loads,
            seed=seed,
        )
        profiling.profile(
            terminal,
            plan,
            lab=lab,
            out=out,
            catalog=catalog,
            power_mode=power_mode,
            resume=resume,
            wait_s=wait,
        )


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder, or what --seeds left.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Report a run folder again; needs no lab."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import pages, seeds, studies

        if studies.is_study(run):
            studies.report(terminal, run)
        elif kept := seeds.seeds_in(run):
            seeds.report_seeds(terminal, run, kept)
        else:
            pages.report(terminal, run)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    second: Annotated[Path, typer.Argument(metavar="DIR", help="Another one.")],
    pool: Annotated[
        bool, typer.Option("--pool", help="End with exit code 1 if the runs must not be pooled.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two run folders, and say whether they may be pooled."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import pairs

        pairs.compare(terminal, first, second, pool=pool)


@app.command()
def gap(
    live: Annotated[Path, typer.Argument(metavar="LIVE", help="Run folder of a live run.")],
    virtual: Annotated[Path, typer.Argument(metavar="VIRTUAL", help="The same in virtual time.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the gap between a live run and the same experiment in virtual time, and what explains it."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import pairs

        pairs.gap(terminal, live, virtual)


app.add_typer(profiles, name="profiles")
app.add_typer(imports, name="import", no_args_is_help=True)


@app.command()
def version(json: Json = False, debug: Debug = False) -> None:
    """Say which version this is."""
    with door(json=json, debug=debug) as terminal:
        import platform

        from testbed import __version__

        if terminal.json:
            terminal.emit({"schema": 1, "testbed": __version__, "python": platform.python_version()})
        else:
            terminal.show(f"testbed {__version__} (Python {platform.python_version()})")


def main() -> None:
    """Entry point of the ``testbed`` command."""
    app()
