"""This host as a board: the agent runs as a child process, really executed and really timed.

Accuracy of its times: the host's monotonic clock, shared with the coordinator, so there is no offset; the host's
other work shows in the service times.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

from drivers.agent.bundle import agent_source_sha256
from drivers.boards.agent_file import agent_name, pack_agent
from drivers.boards.board import AgentBoard
from drivers.boards.composition import CommonOptions, Composition, options_of, with_relay
from drivers.links.local import LocalLink

if TYPE_CHECKING:
    from testbed.model.lab import BoardSpec, ModelFiles
    from testbed.ports import CheckableBoard

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class LocalOptions(CommonOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of ``kind = "local"``.

    Attributes:
        nice: added to the agent's priority value, so that the coordinator stays punctual.
        threads: for each execution; 0 for the runtime's own choice.
        python: interpreter that runs the agent.
        runtime: replaces the runtime that the models name.
    """

    nice: int = 0
    threads: int = 0
    python: str = sys.executable
    runtime: str | None = None


def local(spec: BoardSpec) -> CheckableBoard:
    """The board of a ``kind = "local"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    return AgentBoard(spec, with_relay(local_composition(spec, options_of(spec, LocalOptions)), spec))


def local_composition(spec: BoardSpec, options: LocalOptions) -> Composition:
    """The parts of a local board."""
    environment = dict(os.environ)
    if options.threads:
        environment |= dict.fromkeys(_THREAD_VARIABLES, str(options.threads))

    def make_link() -> LocalLink:
        argv = [
            options.python,
            str(spec.state / agent_name()),
            "--stdio",
            "--state",
            str(spec.state / "agent"),
        ]
        return LocalLink(argv, env=environment, nice=options.nice, name=f"local://{spec.id}")

    async def prepare() -> None:
        await asyncio.to_thread(pack_agent, spec.state)

    def load_options(files: ModelFiles) -> dict[str, Any]:
        return {"threads": options.threads} if options.threads and files.runtime == "onnxruntime" else {}

    return Composition(
        kind=spec.kind,
        make_link=make_link,
        prepare=prepare,
        agent_sha256=agent_source_sha256(),
        common=options,
        runtime=options.runtime,
        load_options=load_options,
    )
