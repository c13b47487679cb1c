from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from drivers.agent.runtimes import LoadedInfo, Outcome
from drivers.virtual.machine.clock import SkewedClock
from drivers.virtual.machine.load import Load
from drivers.virtual.machine.pacing import PacedRuntime
from drivers.virtual.machine.replay import Replay
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Quantity, Service
from testbed.wire import Tensor
from testbed.wire.messages import CANCELLED_EXIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def service(exit_: int, batch: int, low: float, high: float) -> Service:
    return Service(
        exit=exit_, batch=batch, p=(0.0, 1.0), ms=(low, high), origin=Origin.ASSUMED, source="test"
    )


def quantity(value: float) -> Quantity:
    return Quantity(value=value, origin=Origin.ASSUMED, source="test")


PROFILE = HwProfile(
    schema=1,
    board="b",
    model="net",
    task="t",
    service=(service(0, 1, 1.0, 2.0), service(0, 4, 6.0, 6.0), service(1, 1, 8.0, 9.0)),
    accuracy=(quantity(0.7), quantity(0.9)),
    load_ms=quantity(30.0),
    memory_bytes=quantity(1e6),
)


class Inner:
    """Answers at the first exit, except for inputs of ones."""

    def __init__(self, takes_s: float = 0.0, exit_: int = 0) -> None:
        self.takes_s = takes_s
        self.exit = exit_
        self.runs = 0
        self.options: Mapping[str, object] = {}

    def load(
        self, model: str, paths: Sequence[str], options: Mapping[str, object], instances: int
    ) -> LoadedInfo:
        self.options = options
        return LoadedInfo(5, "inner")

    def run(
        self, model, instance, inputs, thresholds, stop_after_ns, samples, cancelled, lost_rows=0
    ) -> Outcome:
        self.runs += 1
        self.asked = (list(thresholds), list(stop_after_ns))
        time.sleep(self.takes_s)
        gone = cancelled()
        exits = [CANCELLED_EXIT if i in gone else self.exit for i in range(len(thresholds))]
        values = np.tile(np.array([0.6, 0.4], np.float32), (len(thresholds), 1))
        return Outcome(exits, (Tensor("float32", values.shape, values.tobytes()),), {"exit_ns": [1]})

    def unload(self, model: str) -> None:
        pass

    def facts(self) -> Mapping[str, object]:
        return {"version": "0"}


def paced(inner: Inner, **more) -> PacedRuntime:
    return PacedRuntime(inner, {"net": PROFILE}, clock=SkewedClock(), **more)


def run(runtime: PacedRuntime, n: int = 1, *, samples=None, gone=frozenset(), stops=None) -> dict:
    outcome = runtime.run("net", 0, (), [()] * n, stops or [0] * n, samples or [-1] * n, lambda: gone)
    return {**outcome.report, "exits": list(outcome.exits)}


def test_every_execution_takes_at_least_what_was_drawn_and_may_take_little_more() -> None:
    runtime = paced(Inner(), seed=3)
    start = time.monotonic_ns()
    reports = [run(runtime) for _ in range(60)]
    took = time.monotonic_ns() - start
    asked = [report["asked_ns"] for report in reports]
    errors = [report["pace_error_ns"] for report in reports]
    assert all(1_000_000 <= a <= 2_000_000 for a in asked)
    assert statistics.mean(asked) == pytest.approx(1_500_000, rel=0.1)
    assert min(errors) >= -50_000  # what follows the wait is anticipated
    assert min(errors) < 200_000  # a busy host delays many; on an idle one it is about a microsecond
    assert took >= sum(asked) + sum(errors)


def test_draws_are_seeded() -> None:
    def asked(seed: int) -> list[int]:
        runtime = paced(Inner(), seed=seed)
        return [run(runtime)["asked_ns"] for _ in range(5)]

    assert asked(1) == asked(1) != asked(2)


def test_batches_and_deeper_exits_take_longer() -> None:
    assert run(paced(Inner()), 4)["asked_ns"] == 6_000_000
    assert 8_000_000 <= run(paced(Inner(exit_=1)))["asked_ns"] <= 9_000_000


def test_cancelled_items_cost_nothing() -> None:
    report = run(paced(Inner()), 2, gone=frozenset({0, 1}))
    assert report["exits"] == [CANCELLED_EXIT] * 2
    assert report["asked_ns"] == 0


def test_what_the_real_answer_takes_too_long_shows_as_pace_error() -> None:
    report = run(paced(Inner(takes_s=0.02)))
    assert report["pace_error_ns"] >= 18_000_000
    assert report["real_ns"] >= 20_000_000


def test_time_is_kept_by_the_boards_clock() -> None:
    fast = PacedRuntime(Inner(), {"net": PROFILE}, clock=SkewedClock(drift_ppb=500_000_000))
    took = []
    for _ in range(7):
        start = time.monotonic_ns()
        assert run(fast, 4)["asked_ns"] == 6_000_000
        took.append(time.monotonic_ns() - start)
    # Its 6 ms are over after 4 ms of the host's; a busy host may delay some, not all.
    assert 3_900_000 <= min(took) < 5_900_000


def test_loading_takes_its_time_and_one_thread() -> None:
    inner = Inner()
    start = time.monotonic()
    info = paced(inner).load("net", [], {}, 2)
    assert time.monotonic() - start >= 0.03
    assert info == LoadedInfo(2_000_000, "inner")
    assert inner.options == {"threads": 1}
    paced(inner).load("net", [], {"threads": 2}, 1)
    assert inner.options == {"threads": 2}


def test_a_model_without_a_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="no profile of 'other'"):
        paced(Inner()).load("other", [], {}, 1)


def test_replay_answers_from_memory_and_audits_a_share() -> None:
    right = Replay([np.array([[0.6, 0.4]] * 3, np.float32), np.array([[0.9, 0.1]] * 3, np.float32)])
    inner = Inner(exit_=1)
    runtime = paced(inner, replays={"net": right}, audit_frac=0.0)
    report = run(runtime, samples=[1])
    assert (report["exits"], report["replayed"], inner.runs) == ([1], 1, 0)
    assert "audited" not in report
    assert run(runtime)["exits"] == [1]
    assert inner.runs == 1  # a sample nobody stored is really run

    runtime = paced(inner, replays={"net": right}, audit_frac=1.0)
    report = run(runtime, samples=[1])
    # The inner runtime answers 0.6 where 0.9 is stored.
    assert (report["audited"], report["audit_differs"], inner.runs) == (1, 1, 2)


def test_a_limit_on_time_counts_paced_time_for_real_and_for_replayed_answers() -> None:
    stored = Replay([np.array([[0.6, 0.4]] * 3, np.float32), np.array([[0.9, 0.1]] * 3, np.float32)])
    inner = Inner()
    for runtime in (paced(inner), paced(inner, replays={"net": stored}, audit_frac=1.0)):
        # The first exit is reached after 6 ms with four items, long after the inner runtime has answered.
        run(runtime, 4, samples=[0, 1, 2, 0], stops=[0, 1_000_000, 6_000_000, 6_000_001])
        assert inner.asked == ([(), (0.0,), (0.0,), (math.inf, 0.0)], [0] * 4)
    replayed = run(runtime, 4, samples=[0, 1, 2, 0], stops=[0, 1_000_000, 6_000_000, 6_000_001])
    assert replayed["exits"] == [1, 0, 0, 1]
    report = run(runtime, samples=[0], stops=[1])
    assert report["exits"] == [0]
    assert report["asked_ns"] <= 2_000_000


def test_the_load_follows_the_executions() -> None:
    apart = []
    for _ in range(5):  # a busy host may come between the two clocks, not every time
        load = Load(4.0, {"net": 9.0})
        runtime = PacedRuntime(Inner(), {"net": PROFILE}, clock=SkewedClock(), work=load.executing)
        report = run(runtime, 4)
        spent = (report["asked_ns"] + report["pace_error_ns"]) / 1e9
        apart.append(abs(load.reading()[1] / (5.0 * spent) - 1))
    assert min(apart) < 0.1
