"""Datagram channels of a lab's boards in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.campaign.loss.calibration import Way
from testbed.campaign.loss.inputs import LossyInputs
from testbed.coordinator.datagrams import Channel
from testbed.model.datagrams import LossyOptions
from testbed.model.lab import parse_options, table_of
from testbed.model.losses import Loss, LossOptions

if TYPE_CHECKING:
    from testbed.campaign.data import Data
    from testbed.coordinator.labfile import LabFile
    from testbed.coordinator.modelled import LinkModel
    from testbed.model.ids import BoardId


def channel_of(
    lab: LabFile, board: BoardId, link: LinkModel, data: Data, inputs: dict[Way, LossyInputs], seed: int
) -> Channel | None:
    """A board's channel, ``None`` if its table in the lab file has none.

    Args:
        link: as seen by a run. inputs: what was made before for the same packets; more is put in.
        seed: of the trial; what is lost on the way to one board says nothing of another.

    Raises:
        ConfigError: the board's ``lossy`` or ``network`` table is wrong.
    """
    _, options = lab.boards[board]
    given = options.get("lossy")
    if given is None:
        return None
    lossy = parse_options(given, LossyOptions, file=lab.file, key=f"boards.{board}.lossy")
    way = Way.of(lossy)
    if way not in inputs:
        inputs[way] = LossyInputs(data, way)
    loss = Loss(known_loss(lab, board, link), f"{seed}/{board}/datagrams/up/loss")
    return Channel(lossy, loss, inputs[way], link.rtt)


def known_loss(lab: LabFile, board: BoardId, link: LinkModel) -> LossOptions:
    """What a board's emulated network loses towards it; elsewhere what lossy orders lost in the run that is known.

    Raises:
        ConfigError: its ``network`` table is wrong.
    """
    return _declared(lab, board, "up") or LossOptions(frac=link.loss_frac)


def network_loses(lab: LabFile, board: BoardId) -> bool:
    """Whether a board's emulated network loses packets, one way or the other.

    Raises:
        ConfigError: its ``network`` table is wrong.
    """
    ways = (_declared(lab, board, "up"), _declared(lab, board, "down"))
    return any(loss is not None and loss.mean_frac > 0 for loss in ways)


def _declared(lab: LabFile, board: BoardId, way: str) -> LossOptions | None:
    given = lab.boards[board][1].get("network")
    if given is None:
        return None
    key = f"boards.{board}.network"
    for name in (way, "loss"):
        given = table_of(given, file=lab.file, key=key).get(name, {})
        key = f"{key}.{name}"
    return parse_options(given, LossOptions, file=lab.file, key=key)
