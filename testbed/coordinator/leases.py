"""The rules of leases: what becomes of one board's leases when somebody asks. Values in, values out; no file, no clock.

============  ===============================================================  =====================================
asked         refused while                                                    otherwise
============  ===============================================================  =====================================
`hold`        anybody holds it, or somebody else has reserved it               held, with a token above any before
`renew`       -                                                                prolonged; an error if no longer ours
`stand`       -                                                                told of the board, if still ours
`let_go`      -                                                                free, unless somebody else holds it
`reserve`     somebody else holds or has reserved it                           reserved, or reserved anew
`give_back`   somebody else has reserved it, and nobody forces it              free of the reservation; force breaks
                                                                               a hold, too
============  ===============================================================  =====================================

A lease that has run out hinders nobody. When that is: `time_left`.
"""

from __future__ import annotations

import datetime

import msgspec

from testbed.errors import LeaseError
from testbed.model.lease import BoardLeases, Ended, Holder, Instant, Lease
from testbed.units import Ns, S

SKEW: Ns = 5 * S
"""By how much the wall clocks of hosts that share leases may differ."""

_ENDS = {"released": "was released", "expired": "expired", "broken": "was broken"}


def time_left(lease: Lease, now: Instant) -> Ns:
    """How long a lease lasts; 0 or less once it has run out [ns].

    On the boot it was taken on, its own clock decides: setting the wall clock changes nothing. After a restart of that
    host a hold is over, since its process is; a reservation goes on by wall clock. For another host's lease the wall
    clock must do, in its holder's favour by `SKEW`. A wall clock that was set back would keep a lease alive for longer
    than it was ever meant to last; such a lease is over: what it fences is safe without it, since the board obeys the
    newest token only.
    """
    if lease.boot_id == now.boot_id:
        return lease.until - now.boot
    if lease.holder.pid and lease.holder.host == now.host:
        return 0
    left = lease.until_wall + SKEW - now.wall
    return left if left <= lease.length + 2 * SKEW else 0


def alive(lease: Lease | None, now: Instant) -> bool:
    """Whether it is there and has not run out."""
    return lease is not None and time_left(lease, now) > 0


def blocked(board: BoardLeases, who: Holder, now: Instant, *, reserving: bool = False) -> Lease | None:
    """The lease that keeps ``who`` from holding (or reserving) a board, if there is one."""
    held = board.held
    if held is not None and alive(held, now) and not (reserving and held.holder.user == who.user):
        return held
    reserved = board.reserved
    if reserved is not None and alive(reserved, now) and reserved.holder.user != who.user:
        return reserved
    return None


def hold(board: BoardLeases, who: Holder, purpose: str, length: Ns, now: Instant) -> BoardLeases:
    """The leases of a board that nothing keeps ``who`` from: held, the token higher than any before.

    Tokens are wall-clock nanoseconds where that is higher, so that folders that do not know of each other
    rarely give the same or an older one; the board has the last word.
    """
    token = max(board.token + 1, now.wall)
    return msgspec.structs.replace(
        expire(board, now), token=token, held=_lease(who, purpose, token, length, now)
    )


def renew(board: BoardLeases, token: int, now: Instant) -> BoardLeases:
    """Prolong a hold from now on; also one that has run out and that nobody has taken.

    Raises:
        LeaseError: it is no longer ours.
    """
    held = board.held
    if held is None or held.token != token:
        raise LeaseError(f"our lease is over: {_since_then(board)}", code="fence")
    again = msgspec.structs.replace(
        held, boot_id=now.boot_id, until=now.boot + held.length, until_wall=now.wall + held.length
    )
    return msgspec.structs.replace(board, held=again)


def stand(board: BoardLeases, token: int, standing: str) -> BoardLeases:
    """Tell how the board stands under a hold; nothing changes if it is no longer ours."""
    held = board.held
    if held is None or held.token != token:
        return board
    return msgspec.structs.replace(board, held=msgspec.structs.replace(held, standing=standing))


def let_go(board: BoardLeases, token: int, now: Instant) -> BoardLeases:
    """End a hold; nothing changes if it is no longer ours."""
    held = board.held
    if held is None or held.token != token:
        return board
    return msgspec.structs.replace(
        board, held=None, ended=Ended(lease=held, how="released", at_wall=now.wall)
    )


def reserve(board: BoardLeases, who: Holder, purpose: str, length: Ns, now: Instant) -> BoardLeases:
    """Reserve a board that nothing keeps ``who`` from; one's own reservation is replaced."""
    person = msgspec.structs.replace(who, pid=0)
    return msgspec.structs.replace(expire(board, now), reserved=_lease(person, purpose, 0, length, now))


def give_back(board: BoardLeases, who: Holder, now: Instant, *, force: bool = False) -> BoardLeases:
    """End a reservation; with ``force`` anybody's, and whatever hold there is.

    Raises:
        LeaseError: it is somebody else's. What it is of is for the caller to name.
    """
    reserved, held = board.reserved, board.held
    if reserved is not None and alive(reserved, now) and reserved.holder.user != who.user and not force:
        raise LeaseError(f"reserved by {tell(reserved, now)}", cure="Ask them, or use --force")
    if force and held is not None:
        return msgspec.structs.replace(
            board,
            reserved=None,
            held=None,
            ended=Ended(lease=held, how="broken", at_wall=now.wall, by=str(who)),
        )
    return msgspec.structs.replace(board, reserved=None)


def expire(board: BoardLeases, now: Instant) -> BoardLeases:
    """The same with what has run out put away."""
    held, reserved = board.held, board.reserved
    if held is not None and not alive(held, now):
        ended = Ended(lease=held, how="expired", at_wall=held.until_wall)
        board = msgspec.structs.replace(board, held=None, ended=ended)
    if reserved is not None and not alive(reserved, now):
        board = msgspec.structs.replace(board, reserved=None)
    return board


def tell(lease: Lease, now: Instant) -> str:
    """A lease for a person: who, what for, how long yet."""
    purpose = f" ({lease.purpose})" if lease.purpose else ""
    left = max(time_left(lease, now), 0)
    span = f"{left // S} s" if left < 120 * S else f"{left // (60 * S)} min"
    until = "unless prolonged, " if lease.holder.pid else ""
    standing = f"; the board is {lease.standing}" if lease.standing else ""
    return f"{lease.holder}{purpose}, {until}for another {span}{standing}"


def tell_end(ended: Ended) -> str:
    """How a lease ended, for a person and for the journal of whoever comes next."""
    at = datetime.datetime.fromtimestamp(ended.at_wall / S, datetime.UTC).isoformat(timespec="seconds")
    lease = ended.lease
    purpose = f" ({lease.purpose})" if lease.purpose else ""
    by = f" by {ended.by}" if ended.by else ""
    standing = f", the board then {lease.standing}" if lease.standing else ""
    return (
        f"the lease of {lease.holder}{purpose}, token {lease.token}, {_ENDS[ended.how]}{by} at {at}{standing}"
    )


def _lease(who: Holder, purpose: str, token: int, length: Ns, now: Instant) -> Lease:
    return Lease(
        holder=who,
        purpose=purpose,
        token=token,
        since=now.wall,
        length=length,
        boot_id=now.boot_id,
        until=now.boot + length,
        until_wall=now.wall + length,
    )


def _since_then(board: BoardLeases) -> str:
    if board.held is not None:
        return f"{board.held.holder} holds the board now"
    return tell_end(board.ended) if board.ended is not None else "nobody holds the board now"
