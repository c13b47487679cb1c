"""Which models a policy may run, when one would be through on a board, and the order for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.action import ExitRule, Infer, Item, Prediction, Transport
from testbed.model.ids import BoardId, ModelId
from testbed.model.origin import Origin, weakest
from testbed.model.view import Health
from testbed.units import Ns, S

if TYPE_CHECKING:
    from testbed.model.ids import RequestId
    from testbed.model.profile import HwProfile
    from testbed.model.view import BoardView, View

SLOW = 0.95
"""Quantile of the service time that a promise rests on."""


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
