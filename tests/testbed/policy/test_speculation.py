from types import SimpleNamespace

import msgspec
import pytest

from testbed.policy.runners import Pick, unknown_runner
from testbed.policy.speculation import Mode, Speculation
from testbed.units import MS


def pick(finish, p_off=0.2, slow=0):
    return Pick(msgspec.structs.replace(unknown_runner("m"), p_off=p_off, slow=slow), "b", 0, finish)


def ask(mode, deadline=50 * MS, edge=None, backend=None, utilisation=0.1):
    speculation = Speculation(mode, ("far",), max_utilisation=0.7)
    speculation.utilisation = utilisation
    return speculation.wanted(0, edge or pick(10 * MS), backend or pick(45 * MS), deadline)


def test_serial_never_and_speculative_always() -> None:
    assert not ask(Mode.SERIAL)
    assert ask(Mode.SPECULATIVE)
    assert ask(Mode.SPECULATIVE, deadline=None, utilisation=1.0)


def test_a_frontend_that_is_nearly_always_sure_needs_no_backup() -> None:
    assert not ask(Mode.SPECULATIVE, edge=pick(10 * MS, p_off=0.005))


@pytest.mark.parametrize(
    ("change", "both"),
    [
        ({}, True),  # 10 + 45 > 50, and each alone is in time
        ({"deadline": 60 * MS}, False),  # one after the other is in time
        ({"deadline": None}, False),
        ({"deadline": 40 * MS}, False),  # not even at once
        ({"utilisation": 0.7}, False),
        ({"deadline": 60 * MS, "edge": pick(10 * MS, slow=6 * MS)}, True),  # its slow runs would be late
    ],
)
def test_auto_weighs_the_serial_tail_against_the_room_there_is(change, both) -> None:
    assert ask(Mode.AUTO, **change) is both


def seen(speculation, **busy_until):
    boards = {name: SimpleNamespace(busy_until=lanes) for name, lanes in busy_until.items()}
    speculation.saw(0, SimpleNamespace(boards=boards))
    return speculation.utilisation


def test_utilisation_is_what_arrivals_see() -> None:
    speculation = Speculation(Mode.AUTO, ("far",), max_utilisation=0.7)
    for i in range(2000):
        seen(speculation, far=(5 if i % 4 == 0 else 0, 0), near=(5, 5))
    assert speculation.utilisation == pytest.approx(0.125, abs=0.02)


def test_a_lab_without_a_data_centre_has_an_idle_one() -> None:
    assert seen(Speculation(Mode.AUTO, (), max_utilisation=0.7), near=(5, 5)) == 0.0
