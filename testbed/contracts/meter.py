"""What every power meter promises, as tests: subclass `MeterContract`, say how to make one, and how to disturb it.

The same for meters on the board, read by its agent, and for those beside it, read by the coordinator. No test
measures how long anything takes, except against bounds that only a hang reaches.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from testbed.contracts.bounds import must_return
from testbed.errors import MeterError, SampleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.ports import PowerMeter
    from testbed.units import Ns


class Rig(Protocol):
    """What the meter is connected to: its virtual counterpart, or a person with a load and a screwdriver."""

    def draw(self, watts: float) -> None:
        """Have the board draw so much, on all rails of the total together, from now on."""

    def saturate(self) -> None:
        """Have it draw more than the meter can show."""

    def garble(self) -> None:
        """Have the meter show or send nonsense, at least once."""

    def mute(self) -> None:
        """Take the meter away."""

    def mend(self) -> None:
        """Undo all of the above."""


_CALLS = 20
"""So many ``bound_s`` a whole test may take; none needs as many."""
_HANGS = "a call of the meter hangs"


class MeterContract:
    """Subclass it, override ``meter`` and ``rig``.

    Attributes:
        period: what the meter is started with [ns]. own_period: that of a meter that keeps its own pace, if it does.
        levels: powers to draw [W], within the meter's range. tolerance_w: how near it must show them.
        bound_s: no single call may take longer, and nothing longer than this to show.
        cannot: why a test does not apply, by its name; shown when it is skipped.
    """

    period: Ns = 5_000_000
    own_period: Ns | None = None
    levels: tuple[float, float] = (5.0, 9.0)
    tolerance_w: float = 0.2
    bound_s: float = 10.0
    cannot: dict[str, str] = {}

    @pytest.fixture
    def meter(self) -> PowerMeter:
        """A meter, not started, connected to ``rig``."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self) -> Rig:
        """What it is connected to."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _at_rest(self, request: pytest.FixtureRequest, meter: PowerMeter, rig: Rig) -> object:
        """Begin with the first level drawn, and let the meter go at the end."""
        reason = self.cannot.get(request.node.originalname)
        if reason is not None:
            pytest.skip(reason)
        with must_return(_CALLS * self.bound_s, _HANGS):
            rig.draw(self.levels[0])
            yield
        with must_return(_CALLS * self.bound_s, _HANGS):
            meter.stop()

    def total_w(self, meter: PowerMeter, watts: Sequence[float]) -> float:
        """What a row says the board draws [W]."""
        assert len(watts) == len(meter.rails)
        assert all(math.isfinite(value) for value in watts)
        return sum(watts[list(meter.rails).index(rail)] for rail in meter.total)

    def settle(self, meter: PowerMeter, watts: float) -> Ns:
        """Read until the meter shows a level; the stamp of that sample."""
        seen: list[object] = []
        until = time.monotonic() + self.bound_s
        while time.monotonic() < until:
            try:
                stamp, row = meter.read(time.monotonic_ns)
            except SampleError as error:
                seen.append(error)
                continue
            if abs(self.total_w(meter, row) - watts) <= self.tolerance_w:
                return stamp
            seen.append(row)
        raise AssertionError(f"{watts} W was not shown within {self.bound_s} s; last: {seen[-5:]}")

    def sample(
        self, meter: PowerMeter, now: Callable[[], Ns] = time.monotonic_ns
    ) -> tuple[Ns, Sequence[float]]:
        """The next sample; a meter may keep silent for a while where the host is busy, but not for long."""
        until = time.monotonic() + self.bound_s
        while True:
            try:
                return meter.read(now)
            except SampleError as error:
                if error.kind != SampleError.NO_ANSWER or time.monotonic() > until:
                    raise

    def fault(self, meter: PowerMeter, accept: Callable[[MeterError], bool], *, honest: bool) -> MeterError:
        """Read until a fault of the accepted kind; samples until then must show the level drawn, if ``honest``."""
        until = time.monotonic() + self.bound_s
        while time.monotonic() < until:
            try:
                _, row = meter.read(time.monotonic_ns)
            except MeterError as error:
                if accept(error):
                    return error
                continue
            shown = self.total_w(meter, row)
            assert not honest or abs(shown - self.levels[0]) <= self.tolerance_w, (
                f"{shown} W where it could not know"
            )
        raise AssertionError(f"no such fault within {self.bound_s} s")

    def test_says_what_it_measures(self, meter: PowerMeter) -> None:
        """Rails have names of their own, and the total is made of them."""
        meter.start(self.period)
        assert meter.rails
        assert len(set(meter.rails)) == len(meter.rails)
        assert meter.total
        assert set(meter.total) <= set(meter.rails)

    def test_shows_what_is_drawn(self, meter: PowerMeter, rig: Rig) -> None:
        """Up and down."""
        meter.start(self.period)
        for watts in (*self.levels, self.levels[0]):
            rig.draw(watts)
            self.settle(meter, watts)

    def test_stamps_increase_and_are_on_the_clock_given(self, meter: PowerMeter) -> None:
        """Strictly; none lies in the future, or before the meter was started."""
        shift = 10**15
        meter.start(self.period)
        last = time.monotonic_ns() + shift - round(self.bound_s * 1e9)
        for _ in range(20):
            stamp, _ = self.sample(meter, lambda: time.monotonic_ns() + shift)
            assert last < stamp <= time.monotonic_ns() + shift
            last = stamp

    def test_keeps_its_rate(self, meter: PowerMeter) -> None:
        """A meter of its own pace gives no more samples than it makes; any meter gives one whenever asked."""
        count = 12
        meter.start(self.period)
        begun = time.monotonic()
        stamps = [self.sample(meter)[0] for _ in range(count)]
        assert time.monotonic() - begun < count * self.bound_s
        if self.own_period is not None:
            assert stamps[-1] - stamps[0] >= (count - 1) * self.own_period // 2

    def test_a_pause_of_the_reader_invents_nothing(self, meter: PowerMeter) -> None:
        """After it, stamps go on increasing up to the present."""
        meter.start(self.period)
        last, _ = self.sample(meter)
        time.sleep(10 * (self.own_period or self.period) / 1e9)
        resumed = time.monotonic_ns()
        for _ in range(1000):
            stamp, _ = self.sample(meter)
            assert last < stamp <= time.monotonic_ns()
            last = stamp
            if stamp >= resumed:
                return
        raise AssertionError("what is read is still older than the pause")

    def test_the_end_of_its_range_is_told(self, meter: PowerMeter, rig: Rig) -> None:
        """As a fault, not as a sample that is too small; and it recovers."""
        meter.start(self.period)
        self.settle(meter, self.levels[0])
        rig.saturate()
        error = self.fault(
            meter, lambda e: isinstance(e, SampleError) and e.kind == SampleError.SATURATED, honest=False
        )
        assert str(error)
        rig.mend()
        rig.draw(self.levels[1])
        self.settle(meter, self.levels[1])

    def test_nonsense_is_told(self, meter: PowerMeter, rig: Rig) -> None:
        """As a fault, not as a number; and the next good sample is a sample."""
        meter.start(self.period)
        self.settle(meter, self.levels[0])
        rig.garble()
        self.fault(meter, lambda e: isinstance(e, SampleError) and e.kind == SampleError.GARBAGE, honest=True)
        rig.mend()
        self.settle(meter, self.levels[0])

    def test_a_meter_that_goes_is_noticed_and_comes_back(self, meter: PowerMeter, rig: Rig) -> None:
        """In bounded time, without a sample from the time in between; a start brings it back."""
        meter.start(self.period)
        before = self.settle(meter, self.levels[0])
        rig.mute()
        self.fault(meter, lambda _: True, honest=True)
        noticed = time.monotonic_ns()
        rig.mend()
        meter.stop()
        meter.start(self.period)
        stamp, _ = self.sample(meter)
        assert stamp > before
        assert stamp >= noticed - round(self.bound_s * 1e9)
        assert self.settle(meter, self.levels[0]) > stamp - 1

    def test_a_meter_that_is_not_there_cannot_be_used(self, meter: PowerMeter, rig: Rig) -> None:
        """Starting or reading it raises, in bounded time, and says why."""
        rig.mute()
        begun = time.monotonic()
        with pytest.raises(MeterError) as caught:
            self._start_and_read(meter)
        assert time.monotonic() - begun < 2 * self.bound_s
        assert str(caught.value)

    def _start_and_read(self, meter: PowerMeter) -> None:
        meter.start(self.period)
        meter.read(time.monotonic_ns)

    def test_stop_is_idempotent_and_ends_reading(self, meter: PowerMeter) -> None:
        """Also before ``start``; a stopped meter can be started again, and its stamps go on increasing."""
        meter.stop()
        meter.start(self.period)
        before, _ = self.sample(meter)
        meter.stop()
        meter.stop()
        with pytest.raises(MeterError):
            meter.read(time.monotonic_ns)
        meter.start(self.period)
        assert self.sample(meter)[0] > before
