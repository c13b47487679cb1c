"""Where a request could run, when it would be through, and which board to take.

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

from testbed.model.action import ExitRule, Infer, Item, Load, Prediction, Transport
from testbed.model.ids import BoardId, ModelId
from testbed.model.origin import Origin, weakest
from testbed.model.view import Health
from testbed.units import Ns, S

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from testbed.model.action import Action
    from testbed.model.ids import RequestId
    from testbed.model.placement import Hosted
    from testbed.model.profile import HwProfile
    from testbed.model.request import Request
    from testbed.model.view import BoardView, View
    from testbed.policy.fleet import Team

SLOW = 0.95
"""Quantile of the service time that a promise rests on."""


RESERVE = 0.1
"""A promise leaves this part of the remaining time unused: lines and hosts are not as punctual as profiles."""


class Runner(Struct, frozen=True, gc=False, kw_only=True):
    """A model on a kind of board, with what is known of it for one request of a kind.

    Attributes:
        service: expected service time over the exits taken; slow: at the last exit and ``SLOW``.
        p_off: share of its answers that will be escalated.
        accuracy: expected of the answer in the end, escalation included.
        watts: at work, ``inf`` where nobody knows. energy_j: of one execution, expected, where they are known.
    """

    model: ModelId
    rule: ExitRule
    service: Ns
    slow: Ns
    watts: float
    origin: Origin
    p_off: float = 0.0
    accuracy: float | None = None
    energy_j: float | None = None


class Pick(Struct, frozen=True, gc=False):
    """A runner on a board, the lane for it, and when it should be through."""

    runner: Runner
    board: BoardId
    lane: int
    finish: Ns


def make_runner(
    profile: HwProfile,
    *,
    exits: tuple[float, ...] = (),
    exit_frac: tuple[float, ...] = (),
    p_off: float = 0.0,
    accuracy: float | None = None,
) -> Runner:
    """Precompute what a decision needs.

    Args:
        exit_frac: share of items that leave at each exit; empty if all run to the last.
    """
    shares = exit_frac or (0.0,) * (profile.exits - 1) + (1.0,)
    last = profile.exits - 1
    service = round(sum(share * profile.service_at(1, e) for e, share in enumerate(shares) if share))
    return Runner(
        model=profile.model,
        rule=ExitRule(min_confidence=exits),
        service=service,
        slow=profile.service_at(1, last, SLOW),
        watts=profile.active_w.value if profile.active_w is not None else float("inf"),
        origin=weakest(row.origin for row in profile.service),
        p_off=p_off,
        accuracy=accuracy,
        energy_j=profile.active_w.value * service / S if profile.active_w is not None else None,
    )


def unknown_runner(model: ModelId, accuracy: float | None = None) -> Runner:
    """A runner without a profile: its service time counts as nothing until somebody measures it."""
    return Runner(
        model=model,
        rule=ExitRule(),
        service=0,
        slow=0,
        watts=float("inf"),
        origin=Origin.ASSUMED,
        accuracy=accuracy,
    )


def finish_on(board: BoardView, runner: Runner, payload_bytes: int, now: Ns, ahead: int = 0) -> Pick | None:
    """When a runner would be through, or ``None`` if it cannot run now (link down, model not resident).

    The line is taken to carry all that has not settled yet before this payload, which is pessimistic by what
    it has carried already; the lane is free when the view says so.

    Args:
        ahead: items given to this board in this very decision, which the view does not show yet.
    """
    copies = board.resident.get(runner.model, 0)
    if not copies or board.health is Health.DOWN:
        return None
    half = board.rtt // 2
    upload = int(payload_bytes * S / board.up_bytes_per_s)
    arrives = now + (board.queued + ahead + 1) * upload + half
    busy = board.busy_until
    lane = min(range(min(copies, len(busy))), key=busy.__getitem__) if copies > 1 else 0
    free = busy[lane] + ahead * runner.service
    return Pick(runner, board.id, lane, (arrives if arrives > free else free) + runner.service + half)


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


def infer(view: View, request: RequestId, pick: Pick, transport: Transport = Transport.RELIABLE) -> Infer:
    """The order for one request on its own."""
    runner = pick.runner
    return Infer(
        id=view.new_id(),
        board=pick.board,
        model=runner.model,
        batch=(Item(request=request, exit=runner.rule),),
        instance=pick.lane,
        transport=transport,
        expected=Prediction(
            finish=pick.finish,
            accuracy=runner.accuracy,
            energy_j=runner.energy_j,
            origin=runner.origin,
        ),
    )


class Residents:
    """Orders each load of a placement once; a model that was lost later is loaded again."""

    def __init__(self) -> None:
        """Nothing asked for yet."""
        self._asked: set[tuple[BoardId, ModelId]] = set()
        self._hosted: tuple[Hosted, ...] = ()
        self._wanted: dict[BoardId, list[Hosted]] = {}

    def missing(self, view: View, hosted: tuple[Hosted, ...], changed: Collection[BoardId]) -> list[Action]:
        """Loads for what should be resident and is neither that nor on its way, in a new list.

        Args:
            changed: boards whose health, link or models changed since the last call.
        """
        boards: Iterable[BoardId] = changed
        if hosted is not self._hosted:
            self._hosted = hosted
            self._wanted = {}
            for host in hosted:
                self._wanted.setdefault(host.board, []).append(host)
            boards = self._wanted
        elif not changed:
            return []
        loads: list[Action] = []
        for name in boards:
            board = view.boards[name]
            for host in self._wanted.get(name, ()):
                key = (name, host.model)
                if host.model in board.resident or board.health is Health.DOWN:
                    self._asked.discard(key)
                elif key not in self._asked and host.model not in board.loading:
                    self._asked.add(key)
                    loads.append(
                        Load(id=view.new_id(), board=name, model=host.model, instances=host.instances)
                    )
        return loads
