"""Who the board is, and with what it was measured: the provenance of a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import __version__
from testbed.model.profile import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.model.lab import BoardFacts

POWER_MODE = "power-mode"
NAMES = ("hostname", "machine", "system", "cpus", "governor", "virtual", "answers")
CLOCKS = ("clock:", "gpu-clocks:")
NOT_EMULATED = "not_emulated"


def identity_of(facts: BoardFacts) -> dict[str, str]:
    """What tells this board from others, as far as it says so itself; the same after a reboot."""
    told = facts.facts
    board = {name: str(told[name]) for name in NAMES if name in told}
    for kind in ("jetson", "gpu"):
        more = told.get(kind)
        if isinstance(more, dict):
            board |= {f"{kind} {name}": str(value) for name, value in more.items() if _plain(value)}
    return {"kind": facts.kind, **board}


def not_emulated(facts: BoardFacts, asked: Iterable[str]) -> list[str]:
    """What an emulated board shows no effect of, in its own words, of what was asked for."""
    told = facts.facts.get(NOT_EMULATED)
    return [str(told[name]) for name in asked if name in told] if isinstance(told, dict) else []


def provenance_of(facts: BoardFacts, run: str, held: dict[str, str], hashes: dict[str, str]) -> Provenance:
    """What a board said of itself, as the provenance of what was measured on it.

    Args:
        run: what was run, when. held: settings as they were read while it ran. hashes: of files behind the figures.
    """
    told = facts.facts
    versions = {"testbed": __version__, "python on the board": str(told.get("python", ""))}
    runtimes = told.get("runtimes")
    for name, runtime in runtimes.items() if isinstance(runtimes, dict) else ():
        if isinstance(runtime, dict):
            versions |= {f"{name} {key}": str(value) for key, value in runtime.items() if _plain(value)}
    unit = {"clock:": " Hz (lowest:highest:now)", "gpu-clocks:": " MHz"}
    return Provenance(
        run=run,
        board={**identity_of(facts), "boot": facts.boot_id},
        power_mode=held.get(POWER_MODE, ""),
        clocks={
            name: value + next(unit[kind] for kind in CLOCKS if name.startswith(kind))
            for name, value in held.items()
            if name.startswith(CLOCKS)
        },
        versions={name: text for name, text in versions.items() if text},
        hashes={name: text for name, text in {"agent": facts.agent_sha256, **hashes}.items() if text},
    )


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
