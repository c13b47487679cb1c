"""The commands that turn other people's published measurements into hwprofiles and power traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from testbed.cli.door import Ended, Exit
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cli.terminal import Terminal
    from testbed.imports.submission import Found
    from testbed.model.profile import HwProfile, Metered

KINDS = ("chip", "rail", "board", "wall")
SHOWN = 20


def tiny(
    terminal: Terminal,
    folder: Path,
    *,
    out: Path,
    version: str,
    submitter: str,
    metered: str,
    traces: bool,
) -> None:
    """Import MLPerf Tiny.

    Raises:
        ConfigError: nothing there, or it does not tell whose it is.
    """
    from testbed.imports.mlperf_tiny import import_tiny

    found = import_tiny(
        folder,
        version=version,
        submitter=submitter,
        metered=metered_of(metered),
        traces=traces,
        progress=terminal,
    )
    _keep(terminal, found, out=out, traces=traces)


def power(terminal: Terminal, folder: Path, *, out: Path, version: str, submitter: str, traces: bool) -> None:
    """Import MLPerf Inference with power.

    Raises:
        ConfigError: nothing there, or it does not tell whose it is.
    """
    from testbed.imports.mlperf_power import import_power

    found = import_power(folder, version=version, submitter=submitter, progress=terminal)
    _keep(terminal, found, out=out, traces=traces)


def metered_of(text: str) -> Metered | None:
    """``KIND:WHAT``, e.g. ``chip:supply of the microcontroller``; ``None`` for an empty text.

    Raises:
        ConfigError: no such kind, or nothing behind it.
    """
    from testbed.model.profile import Metered

    if not text:
        return None
    kind, _, what = text.partition(":")
    if kind not in KINDS or not what.strip():
        raise ConfigError(
            f"{text!r} does not say what was metered",
            key="metered",
            cure=f"Give KIND:WHAT with KIND one of {', '.join(KINDS)}",
        )
    return msgspec.convert({"kind": kind, "what": what.strip()}, Metered)


def _keep(terminal: Terminal, found: Found, *, out: Path, traces: bool) -> None:
    """Write profiles to ``<out>/<board>/<model>.toml`` and traces to ``<out>/<board>/traces/``.

    Raises:
        Ended: there is nothing to write.
    """
    from testbed.imports.submission import slug
    from testbed.store.profile_writer import write_profile
    from testbed.store.traces import save_trace

    files = {}
    for profile in found.profiles:
        file = out / profile.board / f"{profile.model}.toml"
        write_profile(profile, file)
        files[str(file)] = profile
    kept = {}
    for path, trace in found.traces.items() if traces else ():
        file = out / trace.trace.board / "traces" / f"{slug(path)}.npz"
        save_trace(trace, file)
        kept[str(file)] = path
    if terminal.json:
        terminal.emit(
            {
                "schema": 1,
                "profiles": {file: {"board": p.board, "model": p.model} for file, p in files.items()},
                "traces": kept,
                "notes": found.notes,
                "skipped": found.skipped,
            }
        )
    else:
        _tell(terminal, found, list(files.values()), len(kept), out)
    if not files and not kept:
        raise Ended(Exit.MISSED)


def _tell(terminal: Terminal, found: Found, profiles: list[HwProfile], traces: int, out: Path) -> None:
    _show(terminal, profiles)
    for title, lines in (("note", found.notes), ("left out", found.skipped)):
        for line in lines[:SHOWN]:
            terminal.note(f"{title}: {line}")
        if len(lines) > SHOWN:
            terminal.note(f"{title}: and {len(lines) - SHOWN} more (--json lists all)")
    terminal.show(f"{len(profiles)} profiles and {traces} traces written to {out}")


def _show(terminal: Terminal, profiles: list[HwProfile]) -> None:
    from rich.table import Table

    shown = Table("board", "model", "service ms", "accuracy", "energy mJ", "metered")
    for profile in profiles:
        energy = profile.energy_at()
        shown.add_row(
            profile.board,
            profile.model,
            f"{profile.service_at() / 1e6:.4g}",
            f"{profile.accuracy[0].value:.4g} {profile.accuracy_metric}",
            "-" if energy is None else f"{energy.value:.4g}",
            "-" if profile.metered is None else profile.metered.kind,
        )
    terminal.show(shown)
