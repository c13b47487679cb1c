"""Where a published result stands: version, submitter, system and what was run, from its path.

The public repositories are laid out ``<division>/<submitter>/results/<system>/...``, beside
``<division>/<submitter>/systems/<system>.json``. A copy may lack the division and ``results``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.errors import ConfigError
from testbed.model.profile import HwProfile
from testbed.store.traces import KeptTrace

if TYPE_CHECKING:
    from collections.abc import Iterable

LICENCE = "Apache-2.0 (public results repositories of MLCommons)"
_VERSION = re.compile(r"(?:^|[_/])(v\d+\.\d+)(?=$|/)")


class Submission(Struct, frozen=True, kw_only=True):
    """One system of one submitter in one round.

    Attributes:
        suite: ``MLPerf Tiny`` or ``MLPerf Inference``. version: of the round, e.g. ``v1.2``.
        division: ``closed``, ``open``, or empty where the path does not tell.
    """

    suite: str
    version: str
    submitter: str
    system: str
    division: str = ""

    @property
    def citation(self) -> str:
        """How the submission is cited."""
        return f"{self.suite} {self.version}, {self.submitter}, {self.system}"

    @property
    def slug(self) -> str:
        """A folder name."""
        return slug(f"{self.version}-{self.submitter}-{self.system}")


class Found(Struct, frozen=True, kw_only=True):
    """What an import came to.

    Attributes:
        profiles: in the order found. traces: by the path they were read from.
        notes: what a reader of the figures should know: ``path: finding``.
        skipped: what gave no profile, and why: ``path: reason``.
    """

    profiles: tuple[HwProfile, ...]
    traces: dict[str, KeptTrace]
    notes: tuple[str, ...]
    skipped: tuple[str, ...]


def left_out(where: str, error: ConfigError) -> str:
    """Why something is no profile: its place in the repository, the file at fault if one is, and the fault."""
    file = f"{'/'.join(Path(error.file).parts[-2:])}: " if error.file else ""
    return f"{where}: {file}{error.message}"


def slug(text: str) -> str:
    """Letters, digits, dots and dashes of a name, in lower case."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def six(value: float) -> float:
    """Six digits: more than anybody published."""
    return float(f"{value:.6g}")


def place(
    path: Path, *, suite: str, version: str = "", submitter: str = ""
) -> tuple[Submission, tuple[str, ...]]:
    """Whose result a path is, and what remains of the path behind the name of the submitter.

    The system's name in the result is empty: how many parts it takes depends on the suite.

    Args:
        path: absolute, of a file or folder of the submission.
        version, submitter: where the path does not tell, or tells wrong.

    Raises:
        ConfigError: neither the path nor the arguments name version and submitter.
    """
    parts = path.parts
    # A system may have a version in its name too, so only what stands before the results counts.
    at = len(parts) - 1 - parts[::-1].index("results") if "results" in parts else -1
    found = _VERSION.findall("/".join(parts[: at if at > 0 else None]))
    version = version or (found[-1] if found else "")
    division = ""
    if at > 0:
        submitter = submitter or parts[at - 1]
        division = parts[at - 2] if parts[at - 2] in {"closed", "open"} else ""
        rest = parts[at + 1 :]
    else:
        at = max((i for i, part in enumerate(parts) if part == version), default=-1)
        if at < 0:
            rest = ()
        elif submitter and parts[at + 1] != submitter:
            rest = parts[at + 1 :]
        elif submitter or suite == "MLPerf Tiny":
            submitter, rest = parts[at + 1], parts[at + 2 :]
        else:
            rest = ()
    if not version or not submitter or not rest:
        lacking = "version" if not version else "submitter"
        raise ConfigError(
            f"the path does not tell the {lacking} of this submission",
            file=path,
            cure=f"Give --{lacking}, or a folder laid out as in the public repository (SUBMITTER/results/SYSTEM)"
            + ("" if suite == "MLPerf Tiny" else ", or a summary.csv (version,submitter,system) above it"),
        )
    return Submission(suite=suite, version=version, submitter=submitter, system="", division=division), rest


def describe(files: Iterable[Path], system: str) -> tuple[dict[str, str], str]:
    """A system's own description, and what was wrong with it.

    Submitters name these files freely, and some are no valid JSON.

    Args:
        files: ``systems/*.json`` of the submitter. system: name of the system.

    Returns:
        non-empty texts by key (a key that appears twice keeps both), and an empty string or the reason why there
        are none.
    """
    files = list(files)
    exact = [
        file for file in files if _plain(file.stem) == _plain(system) or _words(file.stem) == _words(system)
    ]
    near = [
        file
        for file in files
        if _words(file.stem) <= _words(system)
        or _words(file.stem) >= _words(system)
        or _plain(file.stem) in _plain(system)
        or _plain(system) in _plain(file.stem)
    ]
    chosen = exact or near
    if len(chosen) != 1:
        return {}, f"{len(chosen)} of {len(files)} system descriptions fit the name {system}"
    try:
        pairs: list[tuple[str, object]] = json.loads(
            chosen[0].read_text("utf-8-sig"), strict=False, object_pairs_hook=list
        )
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        return {}, f"{chosen[0].name} is not readable: {error}"
    told: dict[str, str] = {}
    for key, value in pairs if isinstance(pairs, list) else ():
        name, text = str(key).strip(), str(value).strip()
        if text and text not in told.get(name, "").split("; "):
            told[name] = f"{told[name]}; {text}" if name in told else text
    return told, ""


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", name.lower())) - {"system", "description"}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]|system_?description", "", name.lower())
