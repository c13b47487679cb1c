from __future__ import annotations

import asyncio
import json

from testbed.campaign.profiling.condition import await_calm, cool_down, flags, seen, temperatures


class Board:
    """Tells temperatures one after the other, then the last for ever; time passes only in ``sleep``."""

    def __init__(self, *celsius: float) -> None:
        self._left = list(celsius)
        self.slept = 0.0

    async def read(self) -> str:
        if not self._left:
            return ""
        now = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        return json.dumps({"temperature_c": {"cpu": now, "case": 20.0}})

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds


def test_the_gate_waits_until_the_temperature_has_settled():
    board = Board(60, 55, 51, 50.5, 50.4)
    assert asyncio.run(await_calm(board.read, sleep=board.sleep)) == (50.5, "")
    assert board.slept == 15


def test_the_gate_gives_up_and_says_so():
    board = Board(*range(90, 30, -2))
    start, remark = asyncio.run(await_calm(board.read, sleep=board.sleep, patience_s=20))
    assert start == 82
    assert "not settled after 20 s" in remark
    assert board.slept == 20


def test_a_board_that_tells_no_temperature_is_not_waited_for():
    board = Board()
    assert asyncio.run(await_calm(board.read, sleep=board.sleep)) == (None, "")
    assert asyncio.run(cool_down(board.read, 40.0, sleep=board.sleep)) == ("", "")
    assert board.slept == 0


def test_blocks_begin_when_the_board_is_as_cool_as_at_the_start():
    board = Board(50, 48, 46, 44.9, 40)
    text, remark = asyncio.run(cool_down(board.read, 40.0, sleep=board.sleep))
    assert seen(text).hottest_c == 44.9
    assert remark == ""
    assert board.slept == 3


def test_a_board_that_stays_warm_is_used_all_the_same_and_flagged():
    board = Board(70)
    _, remark = asyncio.run(cool_down(board.read, 40.0, sleep=board.sleep, patience_s=5))
    assert "70.0 °C after 5 s" in remark
    assert board.slept == 5


def test_throttling_and_clocks_that_changed_are_flagged():
    calm = json.dumps({"clock_hz": {"gpu": 918_000_000, "cpu": 1_500_000_000}})
    slow = json.dumps({"clock_hz": {"gpu": 612_000_000, "cpu": 1_490_000_000}, "slowed": ["gpu-throttle"]})
    assert flags([calm, calm]) == []
    assert flags([calm, slow, calm]) == [
        "throttled by gpu-throttle at the end of 1 of 3 blocks",
        "clock of gpu between 612 and 918 MHz at the ends of blocks",
    ]


def test_what_a_board_does_not_tell_is_nothing():
    assert seen("") == seen("no json") == seen('{"temperature_c": 3}')
    assert flags(["", ""]) == []
    assert temperatures(["", json.dumps({"temperature_c": {"a": 40.0, "b": 45.5}})]) == (45.5, 45.5)
    assert temperatures([""]) == ()
