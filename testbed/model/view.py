"""What a policy is handed: a read-only façade over the core's state, never a copy per event."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from testbed.model.action import Infer
from testbed.model.execution import Step
from testbed.model.ids import ActionId, BoardId, ModelId, RequestId
from testbed.model.placement import Core, Demand, Placement
from testbed.model.profile import ProfileBook
from testbed.model.request import Outcome, Request
from testbed.units import Ns


class Health(enum.Enum):
    """State of a board's link."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


class CaseView(Protocol):
    """An open request: what has been told about it and what is under way for it."""

    @property
    def request(self) -> Request:
        """What was asked."""

    @property
    def steps(self) -> Sequence[Step]:
        """Everything told so far, failed attempts included, oldest first."""

    @property
    def in_flight(self) -> Mapping[ActionId, Infer]:
        """Actions ordered for it that have not settled."""


class BoardView(Protocol):
    """One board as the policy may know it."""

    @property
    def id(self) -> BoardId:
        """Name in the lab file."""

    @property
    def kind(self) -> str:
        """Driver kind, e.g. ``jetson``."""

    @property
    def site(self) -> str:
        """``edge`` or ``dc``: the tier it stands in."""

    @property
    def health(self) -> Health:
        """Link state."""

    @property
    def version(self) -> int:
        """Another one whenever health, link or models (held or loading) changed; the queue alone need not change it."""

    @property
    def resident(self) -> Mapping[ModelId, int]:
        """Models held, with their instances."""

    @property
    def loading(self) -> Collection[ModelId]:
        """Models whose load was ordered and has not settled."""

    @property
    def busy_until(self) -> Sequence[Ns]:
        """Per lane (`Infer.instance`), when it should be free: never before now; now where nothing is ``queued``."""

    @property
    def queued(self) -> int:
        """Items sent there and not settled."""

    @property
    def memory_bytes(self) -> int | None:
        """Memory for models, or ``None`` if unknown."""

    @property
    def temperature_c(self) -> float | None:
        """Hottest sensor, or ``None``."""

    @property
    def cores(self) -> Sequence[Core]:
        """Processing units inside, where the lab file lists them."""

    @property
    def rtt(self) -> Ns:
        """Smallest recent round trip on its link, without payload."""

    @property
    def up_bytes_per_s(self) -> float:
        """Rate towards the board; ``inf`` where it does not limit."""

    @property
    def down_bytes_per_s(self) -> float:
        """Rate from the board, for what it kept and another board needs; ``inf`` where it does not limit."""

    @property
    def loss_frac(self) -> float:
        """Recent share of lost packets on a lossy link."""


class Closed(Protocol):
    """A request that has ended, for policies that learn."""

    @property
    def request(self) -> Request:
        """What was asked."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""

    @property
    def steps(self) -> Sequence[Step]:
        """What was told about it."""

    @property
    def answered(self) -> Ns:
        """When."""


class View(Protocol):
    """Everything ``decide`` may read."""

    @property
    def touched(self) -> Sequence[RequestId]:
        """Open requests that arrived or got a step since the last ``decide``, in that order."""

    @property
    def touched_boards(self) -> Collection[BoardId]:
        """Boards of which anything may have changed since the last ``decide``; more may be named, never fewer."""

    @property
    def cases(self) -> Mapping[RequestId, CaseView]:
        """All open requests, oldest first; without those answered whose losers still run."""

    @property
    def waiting(self) -> Mapping[RequestId, CaseView]:
        """Open requests with nothing in flight: they wait for the policy."""

    @property
    def boards(self) -> Mapping[BoardId, BoardView]:
        """All boards of the lab."""

    @property
    def profiles(self) -> ProfileBook:
        """What is known of models on boards."""

    @property
    def demand(self) -> Demand:
        """What is being asked lately."""

    @property
    def placement(self) -> Placement:
        """The last plan."""

    @property
    def finished(self) -> Sequence[Closed]:
        """A bounded window of what ended, oldest first; no slices, read it from the end."""

    @property
    def finished_count(self) -> int:
        """How many have ended since the start, so that a policy knows how many of ``finished`` are new."""

    def new_id(self) -> ActionId:
        """A fresh action identifier; deterministic, so replay gives the same."""

    def payload_bytes(self, request: RequestId, codec: str = "raw") -> int:
        """Size of the request's payload on the link [bytes]."""
