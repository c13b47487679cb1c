"""The rules, without files and clocks."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.coordinator import leases
from testbed.errors import LeaseError
from testbed.model.lease import BoardLeases, Holder, Instant
from testbed.units import Ns, S

ANN = Holder(user="ann", host="lab1", pid=11)
BOB = Holder(user="bob", host="lab1", pid=22)
LENGTH = 15 * S
NOW = Instant(host="lab1", boot_id="b1", boot=100 * S, wall=1_000_000 * S)


def at(seconds: float, **changes: object) -> Instant:
    """An instant some time later, by both clocks."""
    d = round(seconds * S)
    later = msgspec.structs.replace(NOW, boot=NOW.boot + d, wall=NOW.wall + d)
    return msgspec.structs.replace(later, **changes)


def held(who: Holder = ANN, length: Ns = LENGTH) -> BoardLeases:
    return leases.hold(BoardLeases(), who, "run x", length, NOW)


def test_a_held_board_is_refused_to_everybody_even_to_another_process_of_the_holder() -> None:
    board = held()
    for who in (BOB, ANN, msgspec.structs.replace(ANN, pid=12)):
        assert leases.blocked(board, who, at(14)) == board.held
    assert leases.blocked(board, BOB, at(16)) is None


def test_the_heartbeat_prolongs_it_from_now_on() -> None:
    board = held()
    assert board.held is not None
    board = leases.renew(board, board.held.token, at(10))
    assert leases.blocked(board, BOB, at(24)) is not None
    assert leases.blocked(board, BOB, at(26)) is None


def test_who_comes_after_a_lease_that_ran_out_is_told_whose_and_when() -> None:
    before = held()
    after = leases.hold(before, BOB, "run y", LENGTH, at(60))
    assert before.held is not None
    assert after.ended is not None
    assert (after.ended.lease, after.ended.how) == (before.held, "expired")
    assert after.ended.at_wall == NOW.wall + LENGTH
    told = leases.tell_end(after.ended)
    assert "ann@lab1 process 11 (run x)" in told
    assert "expired at 1970-01-12T13:46:55+00:00" in told


def test_a_stale_holder_learns_at_its_next_heartbeat_who_has_the_board_now() -> None:
    before = held()
    after = leases.hold(before, BOB, "run y", LENGTH, at(60))
    with pytest.raises(LeaseError, match="bob@lab1 process 22 holds the board now"):
        leases.renew(after, before.token, at(61))
    assert leases.let_go(after, before.token, at(61)) == after


def test_how_a_board_stands_is_told_while_it_is_held_and_at_the_end() -> None:
    board = leases.stand(held(), held().token, "quarantined: silent")
    assert board.held is not None
    assert leases.tell(board.held, at(5)).endswith("; the board is quarantined: silent")
    kept = leases.renew(board, board.token, at(10)).held
    assert kept is not None
    assert kept.standing == "quarantined: silent"
    ended = leases.let_go(board, board.token, at(11)).ended
    assert ended is not None
    assert leases.tell_end(ended).endswith(", the board then quarantined: silent")
    assert leases.stand(board, board.token - 1, "in service") == board, "not a stale holder's to say"
    back = leases.stand(board, board.token, "").held
    assert back is not None
    assert "the board is" not in leases.tell(back, at(12))


def test_a_late_heartbeat_counts_while_nobody_has_taken_the_board() -> None:
    board = held()
    assert leases.blocked(leases.renew(board, board.token, at(60)), BOB, at(70)) is not None


def test_tokens_rise_also_when_the_wall_clock_was_set_back() -> None:
    board = held()
    again = leases.hold(leases.let_go(board, board.token, NOW), BOB, "", LENGTH, at(1, wall=5))
    assert again.token == board.token + 1


def test_setting_the_wall_clock_neither_ends_nor_keeps_a_lease_of_this_boot() -> None:
    board = held()
    assert board.held is not None
    assert leases.alive(board.held, at(1, wall=NOW.wall + 10**6 * S))
    assert not leases.alive(board.held, at(16, wall=0))


def test_a_hold_is_over_with_the_boot_of_its_host_a_reservation_is_not() -> None:
    board = leases.reserve(held(), ANN, "soldering", 3600 * S, NOW)
    assert board.held is not None
    assert board.reserved is not None
    after_boot = at(5, boot_id="b2", boot=3 * S)
    assert not leases.alive(board.held, after_boot)
    assert leases.alive(board.reserved, after_boot)
    assert not leases.alive(board.reserved, at(3700, boot_id="b2", boot=3 * S))


def test_another_hosts_lease_goes_by_wall_clock_in_its_favour() -> None:
    board = held()
    assert board.held is not None
    elsewhere = {"host": "lab2", "boot_id": "c1", "boot": 0}
    assert leases.alive(board.held, at(18, **elsewhere))
    assert not leases.alive(board.held, at(21, **elsewhere))
    set_back = at(0, **elsewhere, wall=NOW.wall - 86_400 * S)
    assert not leases.alive(board.held, set_back), "else it would hold the board for a day"


def test_a_reservation_keeps_others_away_and_lets_its_own_user_run() -> None:
    board = leases.reserve(BoardLeases(), ANN, "soldering", 3600 * S, NOW)
    assert leases.blocked(board, BOB, at(1)) == board.reserved
    assert leases.blocked(board, ANN, at(1)) is None
    running = leases.hold(board, ANN, "run x", LENGTH, at(1))
    assert leases.blocked(running, ANN, at(2)) == running.held, "two runs of one user do not share a board"
    after = leases.let_go(running, running.token, at(3))
    assert leases.blocked(after, BOB, at(3)) == board.reserved


def test_reserving_waits_for_others_runs_not_for_ones_own() -> None:
    board = held(ANN)
    assert leases.blocked(board, ANN, at(1), reserving=True) is None
    assert leases.blocked(board, BOB, at(1), reserving=True) == board.held


def test_anothers_reservation_is_given_back_by_force_only_and_that_is_kept() -> None:
    board = leases.hold(leases.reserve(BoardLeases(), ANN, "away", 3600 * S, NOW), ANN, "run x", LENGTH, NOW)
    with pytest.raises(LeaseError, match="reserved by ann@lab1 .away."):
        leases.give_back(board, BOB, at(1))
    free = leases.give_back(board, BOB, at(1), force=True)
    assert leases.blocked(free, BOB, at(1)) is None
    assert free.ended is not None
    assert "was broken by bob@lab1" in leases.tell_end(free.ended)
    with pytest.raises(LeaseError, match="was broken by bob"):
        leases.renew(free, board.token, at(2))
    assert leases.give_back(board, ANN, at(1)).held == board.held, "one's run goes on"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "renew", "let_go", "reserve", "give_back", "force", "wait"]),
        st.sampled_from([ANN, BOB, msgspec.structs.replace(ANN, pid=12)]),
        st.floats(0, 20),
    ),
    max_size=30,
)


@given(STEPS)
def test_whatever_is_asked_one_process_holds_it_and_tokens_only_rise(
    steps: list[tuple[str, Holder, float]],
) -> None:
    board, t, believed = BoardLeases(), 0.0, dict[Holder, tuple[int, float]]()
    for what, who, wait in steps:
        t += wait
        now, before = at(t), board
        token = believed.get(who, (0, 0.0))[0]
        try:
            if what == "hold" and leases.blocked(board, who, now) is None:
                board = leases.hold(board, who, "", LENGTH, now)
                assert board.token > before.token
                others = [w for w, (_, until) in believed.items() if w != who and until > t]
                assert not others, "somebody whose lease has not run out was robbed"
                believed[who] = (board.token, t + 15)
            elif what == "renew" and token:
                board = leases.renew(board, token, now)
                believed[who] = (token, t + 15)
            elif what == "let_go" and token:
                board = leases.let_go(board, token, now)
                believed.pop(who)
            elif what == "reserve" and leases.blocked(board, who, now, reserving=True) is None:
                board = leases.reserve(board, who, "", 20 * S, now)
            elif what in ("give_back", "force"):
                board = leases.give_back(board, who, now, force=what == "force")
                if what == "force":
                    believed.clear()
        except LeaseError:
            if what == "renew":
                believed.pop(who)
        assert board.token >= before.token
