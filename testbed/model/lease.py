"""Leases: who may use a board, until when, and what became of the holder before.

A *hold* is a process's: short, and prolonged by its heartbeat. A *reservation* is a person's: as long as was asked for,
without a heartbeat; whoever made it may hold the board meanwhile, everybody else waits.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from testbed.units import Ns

LEASE_SCHEMA = 1


class Holder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who: a user on a host, and the process of a hold (0 for a reservation)."""

    user: str
    host: str
    pid: int = 0

    def __str__(self) -> str:
        """``user@host``, and the process if there is one."""
        return f"{self.user}@{self.host}" + (f" process {self.pid}" if self.pid else "")


class Instant(Struct, frozen=True, kw_only=True):
    """Now, on one host.

    Attributes:
        host, boot_id: which host, and which of its boots.
        boot: since that boot, suspended time included [ns]; no one can set it.
        wall: since 1970 [ns]; comparable between hosts as far as their clocks agree.
    """

    host: str
    boot_id: str
    boot: Ns
    wall: Ns


class Lease(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One lease of one board.

    Attributes:
        purpose: what for, in the holder's words.
        token: fencing token; 0 for a reservation, which commands nothing.
        since: when it was taken, wall clock [ns].
        length: from the last heartbeat to the end, or from ``since`` [ns].
        boot_id: of the host whose clock ``until`` is on. until: end on that clock. until_wall: the same by wall clock.
        standing: how the board stands under a hold, as its holder said last; empty while it is in service.
    """

    holder: Holder
    purpose: str
    token: int
    since: Ns
    length: Ns
    boot_id: str
    until: Ns
    until_wall: Ns
    standing: str = ""


class Ended(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a lease ended: ``released`` by its holder, ``expired``, or ``broken`` by somebody else (``by``)."""

    lease: Lease
    how: Literal["released", "expired", "broken"]
    at_wall: Ns
    by: str = ""


class BoardLeases(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The leases of one board. ``token`` is the highest ever given; ``ended`` the last hold that is over."""

    token: int = 0
    held: Lease | None = None
    reserved: Lease | None = None
    ended: Ended | None = None
