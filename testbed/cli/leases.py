"""The commands about leases: take boards for a while, give them back, see who has what."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import msgspec

from testbed import resources
from testbed.errors import ConfigError, LeaseError, TestbedError
from testbed.units import Ns, S, from_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.cli.terminal import Terminal
    from testbed.coordinator.labfile import LabFile
    from testbed.coordinator.lease_store import LeaseStore

AGAIN_S = 0.5
LONGEST_D = 30
"""Days that a board can be reserved for: who needs it for longer reserves it anew, and nobody forgets it for years."""
_UNITS = {"s": S, "m": 60 * S, "h": 3600 * S, "d": 86_400 * S}


def acquire(terminal: Terminal, names: list[str], *, wait_s: float, duration: str, purpose: str) -> None:
    """Reserve boards for the user, all or none.

    Raises:
        ConfigError: no such board, or one that exists for its run only. LeaseError: somebody else has one.
        StoreError: leases cannot be kept.
    """
    from testbed.coordinator.lease_store import this_process

    length, groups = length_of(duration), by_store(names)
    pause = pauses(terminal, wait_s)
    while True:
        try:
            taken = _reserve_all(groups, purpose, length)
            break
        except LeaseError as error:
            time.sleep(pause(error))
    if terminal.json:
        terminal.emit({"schema": 1, "reserved": taken, "for_s": length / S, "holder": str(this_process())})
    else:
        terminal.show(
            f"reserved for {duration}: {', '.join(taken)}", "Runs of yours may use them; others wait."
        )


def pauses(terminal: Terminal, wait_s: float) -> Callable[[LeaseError], float]:
    """How long to pause before trying again what somebody else's lease has refused [s].

    What is returned raises the `LeaseError` once the wait is over, and says the first time who is waited for.
    """
    until, told = time.monotonic() + wait_s, False

    def pause(error: LeaseError) -> float:
        nonlocal told
        left = until - time.monotonic()
        if left <= 0:
            raise error
        if not told:
            terminal.note(f"waiting: {error.message}")
        told = True
        return min(AGAIN_S, left)

    return pause


def release(terminal: Terminal, names: list[str], *, force: bool) -> None:
    """Give boards back; with ``force`` anybody's, whose run then ends.

    Raises:
        ConfigError: no such board. LeaseError: it is somebody else's. StoreError: leases cannot be kept.
    """
    from testbed.coordinator.lease_store import this_process

    groups = by_store(names)
    for store, wanted in groups:
        store.give_back(wanted, this_process(), force=force)
    freed = [name for _, wanted in groups for name in wanted.values()]
    held = _still_held(groups)
    if terminal.json:
        terminal.emit({"schema": 1, "released": freed, "held": held})
    else:
        terminal.show(f"released: {', '.join(freed)}")
        for name, told in held.items():
            terminal.show(f"but {name} is still held by {told}. --force ends that")


def _still_held(groups: list[tuple[LeaseStore, dict[str, str]]]) -> dict[str, str]:
    """Boards, given back, that a run still has, and who that is: a reservation ends at once, a run does not."""
    from testbed.coordinator.leases import alive, tell

    held = {}
    for store, wanted in groups:
        boards, now = store.read()
        for resource, name in wanted.items():
            lease = boards[resource].held if resource in boards else None
            if lease is not None and alive(lease, now):
                held[name] = tell(lease, now)
    return held


def lease_rows(lab: LabFile) -> dict[str, dict[str, Any]]:
    """Who has what, by board; ``told`` is the row for a person. Nothing is contacted and no file is made.

    Raises:
        StoreError: the leases are there and cannot be read.
    """
    from testbed.coordinator.leases import alive, expire, tell, tell_end, time_left
    from testbed.coordinator.leasing import store_of
    from testbed.model.lease import BoardLeases

    stored, now = store_of(lab).read()
    rows: dict[str, dict[str, Any]] = {}
    for name, (table, _) in lab.boards.items():
        if table.count > 1:
            rows[name] = {"state": "none", "told": "in virtual time only"}
            continue
        try:
            resource = _resources(lab.only(name)).get(name)
        except TestbedError as error:
            rows[name] = {"state": "unknown", "told": f"unknown: {error.message}"}
            continue
        if resource is None:
            rows[name] = {"state": "own", "told": "not shared: each run has its own"}
            continue
        of = expire(stored.get(resource, BoardLeases()), now)
        row: dict[str, Any] = {"resource": resource, "state": "free", "told": "free"}
        if of.ended is not None:
            row["before"] = tell_end(of.ended)
            if of.ended.how != "released" or of.ended.lease.standing:
                row["told"] = f"free; {row['before']}"
        for state, lease in (("reserved", of.reserved), ("held", of.held)):
            if lease is not None and alive(lease, now):
                row |= {"state": state, "told": f"{state} by {tell(lease, now)}"}
                row[state] = {
                    **msgspec.to_builtins(lease.holder),
                    "purpose": lease.purpose,
                    "token": lease.token,
                    "since": lease.since / S,
                    "left_s": round(time_left(lease, now) / S, 1),
                    "standing": lease.standing or "in service",
                }
        rows[name] = row
    return rows


def length_of(duration: str) -> Ns:
    """``90s``, ``30m``, ``2h`` or ``1d`` [ns].

    Raises:
        ConfigError: it is none of these, or longer than a board can be reserved for.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", duration)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"{duration!r} is no duration", key="--for", cure="Write it as 90s, 30m, 2h or 1d")
    asked_s = float(match[1]) * _UNITS[match[2]] / S
    if asked_s > LONGEST_D * _UNITS["d"] / S:
        raise ConfigError(
            f"{duration!r} is longer than {LONGEST_D}d, for which a board can be reserved at most",
            key="--for",
            cure=f"Give up to {LONGEST_D}d, and acquire it again before that is over",
        )
    return from_s(asked_s)


def by_store(names: list[str]) -> list[tuple[LeaseStore, dict[str, str]]]:
    """What names on the command line stand for: resources and their names, by the folder their leases are in.

    Args:
        names: ``LAB/BOARD``, or ``LAB`` for all boards of it that can be shared.

    Raises:
        ConfigError: no such lab or board, or a board that exists for its run only.
    """
    from testbed.coordinator.leasing import store_of

    groups: dict[str, tuple[LeaseStore, dict[str, str]]] = {}
    for name in names:
        lab = _parse(name)
        found = _resources(lab)
        if not found:
            raise ConfigError(
                f"{name}: each run has its own, there is nothing to lease",
                file=lab.file,
                cure='Give the board a name to take turns by: lease = "NAME"',
            )
        store = store_of(lab)
        _, wanted = groups.setdefault(str(store.folder), (store, {}))
        wanted.update({resource: f"{lab.name}/{own}" for own, resource in found.items()})
    return list(groups.values())


def _reserve_all(groups: list[tuple[LeaseStore, dict[str, str]]], purpose: str, length: Ns) -> list[str]:
    """All or none, over several folders too: what was reserved is given back when the next folder refuses."""
    from testbed.coordinator.lease_store import this_process

    who, done = this_process(), list[tuple[Any, dict[str, str]]]()
    try:
        for store, wanted in groups:
            store.reserve(wanted, who, purpose, length)
            done.append((store, wanted))
    except TestbedError:
        for store, wanted in done:
            store.give_back(wanted, who)
        raise
    return [name for _, wanted in groups for name in wanted.values()]


def _parse(name: str) -> LabFile:
    from testbed.coordinator.labfile import read_lab

    try:
        return read_lab(resources.lab(name))
    except ConfigError:
        file, slash, board = name.rpartition("/")
        if not slash:
            raise
    return read_lab(resources.lab(file)).only(board)


def _resources(lab: LabFile) -> dict[str, str]:
    from testbed.coordinator.boards import bare_boards
    from testbed.coordinator.leasing import resources_of

    return resources_of(lab, bare_boards(lab))
