"""Boards in virtual time that take lossy orders."""

from __future__ import annotations

import msgspec
import numpy as np

from testbed.coordinator.datagrams import UNHEARD, Channel
from testbed.coordinator.lossy_board import LossyBoard
from testbed.coordinator.modelled import Answers, Flying, LinkModel
from testbed.coordinator.residency import Residency
from testbed.model import event as ev
from testbed.model.action import Infer, Item, Transport
from testbed.model.datagrams import LossyOptions
from testbed.model.losses import Loss, LossOptions
from testbed.units import MS, S
from tests.testbed.coordinator.test_modelled import SCORES, order, profile

PACKETS = 4
LINK = LinkModel(rtt=20 * MS)


class Fixed(Loss):
    """Loses packets of these numbers, counted from the first that was ever sent."""

    def __init__(self, *struck: int) -> None:
        super().__init__(LossOptions(), "")
        self._struck = struck
        self._count = -1

    def strikes(self) -> bool:
        self._count += 1
        return self._count in self._struck


class Quarters:
    """Pictures of four packets, each a quarter; whoever lost something answers 1, else 0."""

    def sizes(self, model: str, sample: int) -> list[int]:
        return [975] * PACKETS  # 1,000 bytes sealed: at 100 Mbit/s one leaves every 80 us

    def lost_frac(self, model: str, sample: int, gone: tuple[int, ...]) -> float:
        return len(gone) / PACKETS

    def answers(self, model: str, sample: int, gone: tuple[int, ...]) -> Answers:
        return Answers([SCORES[bool(gone) : bool(gone) + 1]], len(gone) / PACKETS)


def board(*struck: int, link: LinkModel = LINK) -> LossyBoard:
    channel = Channel(LossyOptions(), Fixed(*struck), Quarters(), link.rtt)
    known = {"m": profile((5, 5, 5))}
    return LossyBoard(
        "b", link, known, {"m": Answers([SCORES])}, np.random.default_rng(1), Residency(known), channel
    )


def lossy(action: int) -> Infer:
    return msgspec.structs.replace(order(action), transport=Transport.LOSSY)


def test_a_whole_picture_is_executed_when_its_last_packet_is_there() -> None:
    b = board()
    (flying,) = b.accept(lossy(1), (0,), 100, MS)
    assert isinstance(flying, Flying)
    assert (flying.left, flying.received) == (MS, MS + 3 * 80_000 + 10 * MS)
    assert flying.answered == flying.received + 5 * MS + 10 * MS
    assert flying.items[0].label == 0
    assert flying.items[0].lost_frac == 0
    assert b.busy["m"] == 5 * MS


def test_what_was_lost_is_waited_for_and_told_and_changes_the_answer() -> None:
    (flying,) = board(1).accept(lossy(1), (0,), 100, 0)
    assert isinstance(flying, Flying)
    assert flying.received == 3 * 80_000 + 10 * MS + 3 * MS  # the last one is there, and the gap has passed
    assert flying.items[0].label == 1
    assert flying.items[0].lost_frac == 0.25
    (last,) = board(3).accept(lossy(1), (0,), 100, 0)
    assert isinstance(last, Flying)
    assert last.received == 10 * MS + 30 * MS  # nobody knows that no more will come


def test_above_the_limit_nothing_is_executed() -> None:
    b = board(0, 1)
    sent, failed = b.accept(lossy(1), (0,), 100, 0)
    assert isinstance(sent, ev.Sent)
    assert isinstance(failed, ev.Failed)
    assert failed.lost_frac == 0.5
    assert failed.error == "lost: 0.500 of the picture was lost, more than 0.3"
    assert 23 * MS < failed.t < 25 * MS
    assert b.busy["m"] == 0


def test_a_board_that_got_nothing_says_nothing() -> None:
    sent, failed = board(*range(PACKETS)).accept(lossy(1), (0,), 100, 0)
    assert isinstance(sent, ev.Sent)
    assert isinstance(failed, ev.Failed)
    assert (failed.error, failed.lost_frac) == (UNHEARD, 1.0)
    assert failed.t == 3 * 80_000 + 150 * MS + 40 * MS


def test_a_picture_that_is_whole_overtakes_one_that_is_waited_for() -> None:
    b = board(3)
    (hurt,) = b.accept(lossy(1), (0,), 100, 0)
    (whole,) = b.accept(lossy(2), (0,), 100, MS)
    assert isinstance(hurt, Flying)
    assert isinstance(whole, Flying)
    assert whole.finished < hurt.started
    # One that comes just before the wait is over moves it, and is told.
    first, moved = b.accept(lossy(3), (0,), 100, hurt.received - 11 * MS)
    assert isinstance(first, Flying)
    assert isinstance(moved, Flying)
    assert (first.order.id, moved.order.id) == (3, 1)
    assert moved.started == first.finished
    assert moved.received == hurt.received
    later = b.cancel(first, 0)
    assert later is not None
    assert [(one.order.id, one.started) for one in later] == [(1, hurt.started)]


def test_reliable_orders_lose_nothing_and_keep_their_place() -> None:
    b = board(3, link=LinkModel(rtt=20 * MS, up_bytes_per_s=1e6))
    (hurt,) = b.accept(lossy(1), (0,), 100, 0)
    (reliable,) = b.accept(order(2), (1,), 1000, MS)
    assert isinstance(hurt, Flying)
    assert isinstance(reliable, Flying)
    wire = 4 * 1028 * S // 10**6
    assert reliable.received == wire + MS + 10 * MS
    assert reliable.items[0].lost_frac == 0
    assert reliable.started < hurt.started


def test_what_cannot_be_executed_fails_as_on_a_real_board() -> None:
    b = board()
    two = msgspec.structs.replace(lossy(1), batch=(Item(request=1), Item(request=2)))
    (failed,) = b.accept(two, (0, 1), 200, 0)
    assert isinstance(failed, ev.Failed)
    assert failed.error == "a lossy order carries one picture, not 2"
    b.residency = Residency({"m": profile((5, 5, 5))}, resident=())
    _, absent = b.accept(lossy(2), (0,), 100, 0)
    assert isinstance(absent, ev.Failed)
    assert absent.error == "'m' is not resident"


def test_the_policy_is_told_what_is_lost() -> None:
    b = board(1, 6)
    seen = []
    for i in range(4):
        *_, last = b.accept(lossy(i), (0,), 100, S + i * 150 * MS)
        if isinstance(last, ev.NetworkSeen):
            seen.append(last)
    assert [one.loss_frac for one in seen] == [0.25, 0.25 - 0.05 * 0.25]
    assert seen[0].t > S
    assert (seen[0].board, seen[0].rtt) == ("b", 20 * MS)
