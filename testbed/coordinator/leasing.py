"""Holds the boards of one inventory: taken together, kept by a heartbeat, let go together.

The heartbeat runs in a thread of its own, off the event loop and off the request path. It stops with its process,
`kill -9` included: the leases run out and the next holder is told whose they were.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from testbed.coordinator.lease_store import LeaseStore, default_state, this_process
from testbed.coordinator.leases import tell_end
from testbed.errors import ConfigError, LeaseError, StoreError
from testbed.units import Ns, from_s, to_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.coordinator.labfile import LabFile
    from testbed.model.ids import BoardId
    from testbed.model.lab import BoardSpec
    from testbed.model.lease import BoardLeases, Holder
    from testbed.ports import CheckableBoard

Result = TypeVar("Result")

BEATS_PER_LEASE = 3


class Grant(Struct, frozen=True, kw_only=True):
    """A hold as a board's driver needs it; see `testbed.model.lab.BoardSpec`."""

    fence: int
    holder: str
    issuer: str
    ttl: Ns
    note: str


def granted(spec: BoardSpec, grant: Grant) -> BoardSpec:
    """What a driver is built from once its board is ours."""
    return msgspec.structs.replace(
        spec, fence=grant.fence, holder=grant.holder, issuer=grant.issuer, ttl=grant.ttl
    )


def store_of(lab: LabFile) -> LeaseStore:
    """The leases that a lab's boards are entered in."""
    return LeaseStore(lab.state if lab.state is not None else default_state())


def resources_of(lab: LabFile, boards: Mapping[BoardId, CheckableBoard]) -> dict[BoardId, str]:
    """What has to be leased, by board: the lab file's word, else the driver's; boards of their run only are left out.

    Raises:
        ConfigError: two boards are the same device. LinkError: a driver cannot say which device it is.
    """
    found: dict[BoardId, str] = {}
    for name, board in boards.items():
        given = lab.boards[name][0].lease
        resource = f"lease:{given}" if given is not None else board.resource
        twin = next((other for other, theirs in found.items() if resource and theirs == resource), None)
        if twin is not None:
            raise ConfigError(
                f"is the same device as {twin}: {resource}",
                file=lab.file,
                key=f"boards.{name}",
                cure="Leave one out, or give each a `lease` name and a `folder` of its own",
            )
        if resource:
            found[name] = resource
    return found


class Leasing:
    """The leases of some boards, for as long as they are open.

    Attributes:
        lost: why they are no longer ours, once that is so.
    """

    def __init__(
        self,
        store: LeaseStore,
        resources: Mapping[BoardId, str],
        *,
        length_s: float,
        purpose: str = "",
        who: Holder | None = None,
        on_lost: Callable[[LeaseError], None] = lambda _: None,
    ) -> None:
        """Nothing is taken yet.

        Args:
            store: where the leases stand. resources: what to lease, by board; none: this does nothing at all.
            length_s: how long a lease lasts without a heartbeat.
            on_lost: called on the event loop when a lease is no longer ours.
        """
        self.lost: LeaseError | None = None
        self._store = store
        self._names = {resource: name for name, resource in resources.items()}
        self._length = from_s(length_s)
        self._purpose = purpose
        self._who = who
        self._on_lost = on_lost
        self._tokens: dict[str, int] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._beating: asyncio.Task[None] | None = None

    async def acquire(self) -> dict[BoardId, Grant]:
        """Hold all boards or none, and keep them from now on.

        Raises:
            LeaseError: somebody else has one. StoreError: the state folder cannot be used.
        """
        if not self._names:
            return {}
        who = self._who or this_process()
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="leases")
        taking = asyncio.ensure_future(
            self._run(lambda: self._store.acquire(self._names, who, self._purpose, self._length))
        )
        try:
            held = await asyncio.shield(taking)
        except asyncio.CancelledError:
            with contextlib.suppress(LeaseError, StoreError):  # what was taken meanwhile must be let go
                self._tokens = _tokens(await taking)
            raise
        self._tokens = _tokens(held)
        self.lost = None
        self._beating = asyncio.create_task(self._beat(), name="leases")
        return {self._names[r]: self._grant(r, leases, who) for r, leases in held.items()}

    async def check(self) -> None:
        """Make sure that all leases are ours this moment, and prolong them.

        Raises:
            LeaseError: one is not. StoreError: the state folder cannot be used.
        """
        if self.lost is not None:
            raise self.lost
        if self._tokens:
            await self._run(lambda: self._store.renew(self._tokens))

    def stand(self, board: BoardId, standing: str) -> None:
        """Tell whoever looks at the leases how a board of ours stands; does not wait for the disk."""
        resource = next((r for r, name in self._names.items() if name == board), "")
        token = self._tokens.get(resource)
        if token is None or self._thread is None:
            return

        def tell() -> None:
            with contextlib.suppress(StoreError):  # the journal has it as well
                self._store.stand(resource, token, standing)

        self._thread.submit(tell)

    async def release(self) -> None:
        """Let go; idempotent. What the disk refuses is left to run out."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
            self._beating = None
        if self._tokens:
            tokens, self._tokens = self._tokens, {}
            with contextlib.suppress(StoreError):
                await self._run(lambda: self._store.release(tokens))
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    async def _run(self, work: Callable[[], Result]) -> Result:
        assert self._thread is not None, "nothing was acquired"
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _grant(self, resource: str, leases: BoardLeases, who: Holder) -> Grant:
        name, ended = self._names[resource], leases.ended
        before = f"; before that {tell_end(ended)}" if ended is not None else ""
        return Grant(
            fence=leases.token,
            holder=f"{who} {self._purpose}".strip(),
            issuer=self._store.issuer(resource),
            ttl=self._length,
            note=f"{name} is leased as {resource}, token {leases.token}{before}",
        )

    async def _beat(self) -> None:
        period = self._length // BEATS_PER_LEASE
        kept_until = time.monotonic_ns() + self._length
        while True:
            await asyncio.sleep(to_s(period))
            begun = time.monotonic_ns()
            try:
                await self.check()
                kept_until = begun + self._length
            except LeaseError as error:
                name = self._names.get(error.board, error.board)
                self._lose(LeaseError(error.message, board=name, code=error.code))
                return
            except StoreError as error:
                if time.monotonic_ns() + period > kept_until:
                    self._lose(LeaseError(f"could not be prolonged: {error}", code="fence"))
                    return

    def _lose(self, error: LeaseError) -> None:
        self.lost = error
        self._on_lost(error)


def _tokens(held: Mapping[str, BoardLeases]) -> dict[str, int]:
    return {resource: leases.token for resource, leases in held.items()}
