"""Teams of boards that are alike, and which of them to take.

The rule that all our own policies share: **the least powerful board that suffices**. Boards are tried by the
power they draw at work (unknown power last, then the slower first), and the first one is taken that would
answer by the deadline even if the answer has to be escalated. A board that is not the most powerful one is
passed over while more than ``max_ahead`` items are on their way to it already (by default: any at all): a slow
line must not collect a queue that others could have served. If nobody can promise the deadline, whoever should
be first gets it; if nobody can make it even with luck, nobody does. Of boards that are alike the one that would be
through first stands for all (``testbed.policy.fleet``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.policy.fleet import Alike, Fleet
from testbed.policy.runners import Pick, Runner
from testbed.units import Ns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from testbed.model.ids import BoardId
    from testbed.model.request import Request
    from testbed.model.view import View

RESERVE = 0.1
"""A promise leaves this part of the remaining time unused: lines and hosts are not as punctual as profiles."""


class Team(Struct, frozen=True, eq=False):
    """Boards that are alike, and what each of them can run."""

    alike: Alike
    runners: tuple[Runner, ...]

    @property
    def watts(self) -> float:
        """Of its hungriest runner."""
        return max(runner.watts for runner in self.runners)


def teams_of(fleet: Fleet, runners: Mapping[BoardId, Sequence[Runner]]) -> tuple[Team, ...]:
    """Boards that are alike together, in the order in which their first ones stand.

    Args:
        runners: what each board can run; the same for all that are alike. Boards that can run nothing are left out.
    """
    found: dict[int, Team] = {}
    for board, able in runners.items():
        alike = fleet.alike(board)
        if able and id(alike) not in found:
            found[id(alike)] = Team(alike, tuple(able))
    return tuple(found.values())


def by_power(teams: Iterable[Team]) -> tuple[Team, ...]:
    """The least powerful first, of equally powerful ones the slower."""
    return tuple(sorted(teams, key=lambda team: (team.watts, -min(r.service for r in team.runners))))


def soonest(
    view: View,
    now: Ns,
    teams: Iterable[Team],
    payload_bytes: int,
    *,
    without: Collection[BoardId] = (),
    given: Mapping[BoardId, int] | None = None,
) -> Pick | None:
    """The runner that would be through first."""
    best: Pick | None = None
    for team in teams:
        for runner in team.runners:
            found = team.alike.soonest(view, now, runner, payload_bytes, None, without, given)
            if found is not None and (best is None or found.finish < best.finish):
                best = found
    return best


class Choice(Struct, frozen=True, gc=False):
    """What `least_powerful` found: a pick that can promise the deadline, or who should be first without one."""

    promised: Pick | None
    otherwise: Pick | None


def least_powerful(
    view: View,
    now: Ns,
    request: Request,
    teams: Sequence[Team],
    payload_bytes: int,
    *,
    escalation: Ns = 0,
    max_ahead: int = 0,
    max_offload: float = 1.0,
    reserve_frac: float = RESERVE,
    without: Collection[BoardId] = (),
    given: Mapping[BoardId, int] | None = None,
) -> Choice:
    """Choose by the rule in the head of this module.

    Args:
        escalation: how long asking the data centre would take now [ns].
        max_offload: pass a board over if it escalates more than this, unless it is the most powerful one.
        reserve_frac: part of the time from now to the deadline that a promise leaves unused.
    """
    deadline = request.deadline
    promise = 0 if deadline is None else deadline - round(reserve_frac * (deadline - now))
    otherwise: Pick | None = None
    hope = 0.0
    strongest = teams[-1] if teams else None
    for team in teams:
        weak = team is not strongest
        most = max_ahead if weak else None
        find = team.alike.soonest
        best: Pick | None = None
        cost = 0.0
        for runner in team.runners:
            p_off = runner.p_off
            if weak and p_off > max_offload:
                continue
            found = find(view, now, runner, payload_bytes, most, without, given)
            if found is None:
                continue
            mean = found.finish + p_off * escalation
            if best is None or mean < cost:
                best, cost = found, mean
        if best is None:
            continue
        chosen = best.runner
        worst = best.finish + chosen.slow - chosen.service + (escalation if chosen.p_off > 0.0 else 0)
        if deadline is None or worst <= promise:
            return Choice(best, otherwise)
        if otherwise is None or cost < hope:
            otherwise, hope = best, cost
    return Choice(None, otherwise)
