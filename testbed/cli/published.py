"""The commands about what was published or measured before, and their arguments: ``profiles`` and ``import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.door import door
from testbed.cli.options import Catalog, Debug, Json

profiles = typer.Typer(help="List, compare and check hardware profiles.", invoke_without_command=True)

Profiles = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="A board, BOARD/MODEL, a folder or a file (default: all shipped)."),
]


@profiles.callback()
def profiles_by_default(context: typer.Context, json: Json = False, debug: Debug = False) -> None:
    """List the shipped hardware profiles, unless a command says otherwise."""
    if context.invoked_subcommand is None:
        list_profiles(None, json=json, debug=debug)


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
def profile_schema(json: Json = True, debug: Debug = False) -> None:
    """Print the JSON schema of the files, always as JSON."""
    with door(json=json, debug=debug) as terminal:
        from testbed.cli import profiles as doing

        doing.schema(terminal)


imports = typer.Typer(help="Turn other people's published measurements into hwprofiles and power traces.")

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
