"""The agent as one file: named by the hash of its sources, packed when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.agent.bundle import agent_source_sha256, build_agent
from testbed.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path


def agent_name() -> str:
    """File name of the agent of these sources, here and on a board, where old ones may lie beside it."""
    return f"agent-{agent_source_sha256()[:12]}.pyz"


def pack_agent(folder: Path) -> Path:
    """The agent in ``folder``, packed there unless it is.

    Raises:
        BoardError: it cannot be written.
    """
    path = folder / agent_name()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            draft = path.with_suffix(".part")
            build_agent(draft)
            draft.replace(path)
    except OSError as error:
        raise BoardError(f"the agent cannot be packed into {path}: {error}") from error
    return path
