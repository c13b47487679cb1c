"""The commands and their arguments; what they do is one door further."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.door import door

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

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document; everything else goes to stderr.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Catalog = Annotated[
    Path | None,
    typer.Option("--catalog", metavar="DIR", help="Folder of a catalogue of your own (default: shipped)."),
]
Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long for boards that others have."),
]
Boards = Annotated[list[str], typer.Argument(metavar="LAB/BOARD...", help="Boards; LAB alone for all of it.")]
Lab = Annotated[str, typer.Option("--lab", metavar="FILE", help="Lab file, or the name of a shipped one.")]


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
        int | None, typer.Option("--seed", help="Use instead of the experiment's own seed.")
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
    duration: Annotated[str, typer.Option("--for", help="How long: 90s, 30m, 2h or 1d.")] = "1h",
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
    catalog: Catalog = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check every board of a lab step by step, and say what to fix."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import bench

        bench.doctor(terminal, lab=lab, board=board, catalog=catalog)


@app.command()
def profile(
    board: Annotated[str, typer.Argument(help="Board in the lab file.")],
    model: Annotated[str, typer.Argument(help="Model in the catalogue.")],
    lab: Lab = "virtual",
    repeats: Annotated[int, typer.Option(min=10, help="Executions per batch size.")] = 200,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Batch size; may be given several times.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write (default: BOARD/MODEL.toml).")
    ] = None,
    catalog: Catalog = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a model's service time on a board, and write an hwprofile."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import bench

        sizes = tuple(sorted(set(batch or [1])))
        bench.profile(
            terminal,
            lab=lab,
            board=board,
            model=model,
            repeats=repeats,
            batch=sizes,
            out=out,
            catalog=catalog,
        )


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Report a run folder again; needs no lab."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import runs, studies

        if studies.is_study(run):
            studies.report(terminal, run)
        else:
            runs.report(terminal, run)


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


profiles = typer.Typer(help="List, compare and check hardware profiles.", invoke_without_command=True)
app.add_typer(profiles, name="profiles")

Profiles = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="A board, BOARD/MODEL, a folder or a file (default: all shipped)."),
]


@profiles.callback()
def profiles_by_default(context: typer.Context) -> None:
    """List the shipped hardware profiles, unless a command says otherwise."""
    if context.invoked_subcommand is None:
        list_profiles(None)


@profiles.command("list")
def list_profiles(names: Profiles = None, json: Json = False, debug: Debug = False) -> None:
    """List folders of hardware profiles, or the models of those named."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import profiles as doing

        doing.show(terminal, names or [])


@profiles.command("compare")
def compare_profiles(
    names: Annotated[list[str], typer.Argument(metavar="A B", help="Boards, BOARD/MODEL, folders or files.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write a page (.html) or the plots (.svg).")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Set hardware profiles side by side, and say what must not be compared."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import profiles as doing

        doing.compare(terminal, names, out=out)


@profiles.command("check")
def check_profiles(names: Profiles = None, json: Json = False, debug: Debug = False) -> None:
    """Read every hardware profile, and say what is wrong or missing."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import profiles as doing

        doing.check(terminal, names or [])


@profiles.command("borrow")
def borrow_profile(
    model: Annotated[str, typer.Argument(help="Model in the catalogue.")],
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="BOARD/MODEL", help="Published model whose pace and power it takes, one per exit."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of profiles to write MODEL.toml to.")
    ],
    catalog: Catalog = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Pace and power a model of your own as published ones were on real silicon, for a virtual board."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import profiles as doing

        doing.borrow(terminal, model, names, out=out, catalog=catalog)


@profiles.command("schema")
def profile_schema(debug: Debug = False) -> None:
    """Print the JSON schema of the files."""
    with door(json=True, debug=debug) as terminal:
        from testbed.cli import profiles as doing

        doing.schema(terminal)


imports = typer.Typer(help="Turn other people's published measurements into hwprofiles and power traces.")
app.add_typer(imports, name="import", no_args_is_help=True)

Submission = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of a round, a submitter or a system.", exists=True)
]
Imported = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Where to write BOARD/MODEL.toml and BOARD/traces/.")
]
Round = Annotated[str, typer.Option("--version", help="Round, e.g. v1.2, where the path does not tell.")]
Submitter = Annotated[str, typer.Option("--submitter", help="Who submitted, where the path does not tell.")]
Traces = Annotated[bool, typer.Option("--traces/--no-traces", help="Also write the power traces.")]


@imports.command("mlperf-tiny")
def import_tiny(
    folder: Submission,
    out: Imported = Path("imported"),
    version: Round = "",
    submitter: Submitter = "",
    metered: Annotated[
        str,
        typer.Option(
            "--metered", metavar="KIND:WHAT", help="What was metered, where it is not known of the board."
        ),
    ] = "",
    traces: Traces = True,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Import a submission to MLPerf Tiny."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import imports as doing

        doing.tiny(
            terminal, folder, out=out, version=version, submitter=submitter, metered=metered, traces=traces
        )


@imports.command("mlperf-power")
def import_power(
    folder: Submission,
    out: Imported = Path("imported"),
    version: Round = "",
    submitter: Submitter = "",
    traces: Traces = True,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Import a submission to MLPerf Inference with power."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import imports as doing

        doing.power(terminal, folder, out=out, version=version, submitter=submitter, traces=traces)


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
