"""Who submitted what, from a table beside a copy of published results that lost its submitters' folders."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "summary.csv"
_NEEDED = frozenset({"version", "submitter", "system"})
_UP = 6
"""A listing stands this many folders above a run at most: version, system (two), model, scenario, performance."""


class Listed(Struct, frozen=True, kw_only=True):
    """Whose a system is. division: empty where the table does not tell, or tells several."""

    submitter: str
    division: str


class Listing:
    """Submitters by round and system."""

    def __init__(self, folder: Path) -> None:
        """Read ``summary.csv`` of a folder or of the nearest one above it that has it; there may be none.

        Columns: ``version``, ``submitter``, ``system``, and ``division`` if known; other files of this name are left
        alone.

        Raises:
            ConfigError: it is no UTF-8 table.
        """
        self.file: Path | None = None
        self._rows: dict[tuple[str, str], set[tuple[str, str]]] = {}
        folder = folder.resolve()
        for above in (folder, *folder.parents[:_UP]):
            if (above / NAME).is_file() and self._read(above / NAME):
                return

    def of(self, version: str, system: str) -> Listed | None:
        """Whose a system of a round is; ``None`` if it is not listed, or under several submitters."""
        rows = self._rows.get((version, system), set())
        submitters = {submitter for submitter, _ in rows}
        divisions = {division for _, division in rows}
        if len(submitters) != 1:
            return None
        return Listed(submitter=submitters.pop(), division=divisions.pop() if len(divisions) == 1 else "")

    def find(self, run: Path) -> Listed | None:
        """Whose ``<version>/<system>/<model>/<scenario>/performance/run_1`` is; a system may be two folders."""
        above = run.parts[:-4]
        for at in range(len(above) - 1, 0, -1):
            if listed := self.of(above[at - 1], "/".join(above[at:])):
                return listed
        return None

    def check(self, run: Path, submitter: str) -> None:
        """See that a submitter named by hand is the listed one.

        Raises:
            ConfigError: the table names another, whose figures would be cited wrongly.
        """
        listed = self.find(run)
        if listed is not None and submitter.lower() != listed.submitter.lower():
            raise ConfigError(
                f"{run} was submitted by {listed.submitter}, not {submitter}",
                file=self.file,
                key="submitter",
                cure="Leave --submitter out, or give the folder of one submitter's systems",
            )

    def _read(self, file: Path) -> bool:
        try:
            with file.open(newline="", encoding="utf-8-sig") as lines:
                reader = csv.DictReader(lines)
                if not set(reader.fieldnames or ()) >= _NEEDED:
                    return False
                for row in reader:
                    told = (row["submitter"] or "", row.get("division") or "")
                    if told[0]:
                        self._rows.setdefault((row["version"], row["system"]), set()).add(told)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ConfigError(
                f"not a table in UTF-8: {error}", file=file, cure="Mend it, or take it away"
            ) from error
        self.file = file
        return True
