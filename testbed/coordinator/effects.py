"""What the core asks of its shell; the shell carries effects out in order and reports back as events."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from testbed.model.action import Cancel, Infer, Load
from testbed.model.ids import BoardId
from testbed.model.placement import Demand, LabSnapshot
from testbed.model.record import RequestRecord
from testbed.units import Ns


class Dispatch(Struct, frozen=True, gc=False, tag="dispatch"):
    """Hand an order to a board; ``samples`` has the input index of each item of an ``Infer``."""

    board: BoardId
    order: Infer | Load | Cancel
    samples: tuple[int, ...] = ()


class WakeAt(Struct, frozen=True, gc=False, tag="wake_at"):
    """Send a ``Tick`` at ``t``; replaces the earlier wish, ``None`` clears it."""

    t: Ns | None


class Close(Struct, frozen=True, gc=False, tag="close"):
    """A request is settled in every respect: write its record."""

    record: RequestRecord


class Plan(Struct, frozen=True, tag="plan"):
    """Run the policy's slow path and answer with ``PlanReady``."""

    demand: Demand
    lab: LabSnapshot


class Remark(Struct, frozen=True, tag="remark"):
    """Keep a sentence of the policy's about itself."""

    t: Ns
    text: str


Effect: TypeAlias = Dispatch | WakeAt | Close | Plan | Remark
