from __future__ import annotations

import pytest

from drivers.virtual.machine.load import Load


class Host:
    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def test_energy_follows_the_duty_cycle() -> None:
    host = Host()
    load = Load(4.0, {"a": 9.0}, now=host)
    for _ in range(10):
        with load.executing("a"):
            host.ns += 20_000_000
        host.ns += 80_000_000
    assert load.reading() == (1_000_000_000, pytest.approx(5.0 * 0.2))


def test_executions_at_the_same_time_share_the_board() -> None:
    host = Host()
    load = Load(4.0, {"a": 9.0, "b": 6.0}, now=host)
    with load.executing("b"):
        host.ns += 10**9  # 2 W above idle
        with load.executing("a"):
            host.ns += 10**9  # 5 W, not 7 W
        host.ns += 10**9  # 2 W
    assert load.reading()[1] == pytest.approx(9.0)


def test_a_model_of_unknown_power_draws_nothing_more() -> None:
    host = Host()
    load = Load(4.0, {}, now=host)
    with load.executing("a"):
        host.ns += 10**9
    assert load.reading()[1] == 0.0
