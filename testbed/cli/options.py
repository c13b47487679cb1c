"""Options that many commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document; everything else goes to stderr.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Catalog = Annotated[
    Path | None,
    typer.Option("--catalog", metavar="DIR", help="Folder of a catalogue of your own (default: shipped)."),
]
Lab = Annotated[str, typer.Option("--lab", metavar="FILE", help="Lab file, or the name of a shipped one.")]
