from __future__ import annotations

import pytest

from drivers.boards.identity import check_same
from testbed.errors import BoardError
from testbed.wire import messages as m

FACTS = {
    "machine": "aarch64",
    "hostname": "orin",
    "cpus": 8,
    "pid": 7,
    "jetson": {"model": "Orin", "l4t": "36.4"},
}


def welcome(**changes):
    return m.Welcome(1, 1, "", changes.pop("boot_id", "b"), FACTS | changes, 4, 100)


def test_a_restarted_board_is_the_same():
    later = {"pid": 99, "jetson": {"model": "Orin", "l4t": "36.5"}, "python": "3.10"}
    check_same(welcome(), welcome(boot_id="c", **later), "b")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hostname": "nano"}, "hostname 'nano' instead of 'orin'"),
        ({"cpus": 6}, "cpus 6 instead of 8"),
        ({"jetson": {"model": "Nano"}}, "jetson 'Nano' instead of 'Orin'"),
        ({"jetson": None}, "jetson None instead of 'Orin'"),
        ({"memory_bytes": 4}, "memory_bytes 4 instead of None"),
    ],
)
def test_another_one_is_refused_and_told(changes, told):
    with pytest.raises(BoardError, match="another board answers") as caught:
        check_same(welcome(), welcome(**changes), "b")
    assert told in str(caught.value)
