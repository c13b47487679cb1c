"""A lab as its file declares it: profiles it names and the ways it emulates, without a run that saw it.

For virtual time over labs that are emulated anyway: a live run would only tell again what the file says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from testbed.campaign.bench import profile_lookup
from testbed.campaign.virtual_lab import VirtualLab
from testbed.coordinator.modelled import LinkModel
from testbed.errors import ConfigError
from testbed.model.profile import ProfileBook
from testbed.units import from_ms

if TYPE_CHECKING:
    from testbed.coordinator.labfile import LabFile


def declared_lab(lab: LabFile) -> VirtualLab:
    """The lab for virtual time.

    Raises:
        ConfigError: a board names no profile of one of its models, or no emulated way.
    """
    find = profile_lookup(lab)
    rows, links = {}, {}
    for board, (table, options) in lab.boards.items():
        for model in table.models:
            profile = find(table.profiles, model) if table.profiles is not None else None
            if profile is None:
                raise ConfigError(
                    f"no profile of {model}, and there is no run that measured it",
                    file=lab.file,
                    key=f"boards.{board}.profiles",
                    cure="Name a folder of hwprofiles that has one",
                )
            rows[board, model] = profile
        links[board] = _link(lab, board, options)
    return VirtualLab(lab, ProfileBook(rows), links)


def _link(lab: LabFile, board: str, options: dict[str, Any]) -> LinkModel:
    network, relay = options.get("network"), options.get("relay")
    if network is not None:
        up, down = network.get("up", {}), network.get("down", {})
    elif relay is not None:
        up = down = relay
    else:
        raise ConfigError(
            "the way to it is not declared",
            file=lab.file,
            key=f"boards.{board}",
            cure="Add a network or relay table, or name a live run with --after",
        )
    return LinkModel(
        rtt=from_ms(up.get("delay_ms", 0.0) + down.get("delay_ms", 0.0)),
        up_bytes_per_s=_rate(up),
        down_bytes_per_s=_rate(down),
    )


def _rate(way: dict[str, Any]) -> float:
    rate = way.get("rate_mbit")
    return math.inf if rate is None else rate * 1e6 / 8
