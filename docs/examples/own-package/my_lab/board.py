"""This host under a name of its own: the agent as a child process, like ``kind = "local"``.

Maker and model would stand here, with the manual and the accuracy of its times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.boards.board import AgentBoard
from drivers.boards.composition import options_of, with_relay
from drivers.boards.local import LocalOptions, local_composition

if TYPE_CHECKING:
    from testbed.model.lab import BoardSpec
    from testbed.ports import CheckableBoard


class MyHostOptions(LocalOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of ``kind = "my-host"``.

    Attributes:
        nice: kind to the rest of the host by default.
    """

    nice: int = 5


def my_host(spec: BoardSpec) -> CheckableBoard:
    """The board of a ``kind = "my-host"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    return AgentBoard(spec, with_relay(local_composition(spec, options_of(spec, MyHostOptions)), spec))
