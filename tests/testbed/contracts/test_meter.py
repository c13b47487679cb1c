"""The contract itself: a good meter passes, and each promise is noticed when it is broken."""

from __future__ import annotations

import math
import time

import pytest

from testbed.contracts.meter import MeterContract
from testbed.errors import MeterError, SampleError


class Bench:
    """Rig and state of a meter in memory."""

    def __init__(self):
        self.watts = 0.0
        self.trouble = ""

    def draw(self, watts):
        self.watts = watts

    def saturate(self):
        self.trouble = SampleError.SATURATED

    def garble(self):
        self.trouble = SampleError.GARBAGE

    def mute(self):
        self.trouble = "gone"

    def mend(self):
        self.trouble = ""


class Simple:
    """A meter in memory; `flaw` breaks one promise."""

    waits = False

    def __init__(self, bench, flaw=""):
        self.bench = bench
        self.flaw = flaw
        self.rails = ["A", "A"] if flaw == "two rails of one name" else ["IN", "PART"]
        self.total = ["IN", "OUT"] if flaw == "a total of unknown rails" else ["IN"]
        self.on = False
        self.last = 0

    def start(self, period):
        if self.bench.trouble == "gone" and self.flaw != "starts without a meter":
            raise MeterError("nobody there")
        self.on = True

    def read(self, now):
        trouble = self.bench.trouble
        if not self.on and self.flaw != "reads after stop":
            raise MeterError("not started")
        if trouble == "gone" and self.flaw not in ("shows 0 W when gone", "starts without a meter"):
            raise MeterError("gone")
        if trouble in (SampleError.SATURATED, SampleError.GARBAGE) and not self.flaw.startswith("shows"):
            raise SampleError(trouble, "no sample")
        self.last = max(now(), self.last + 1)
        stamp = {
            "stamps stand still": 1,
            "stamps of its own clock": self.last % 10**12 + 10**18,
        }.get(self.flaw, self.last)
        return stamp, [self.shown(trouble), 1.0]

    def shown(self, trouble):
        if trouble and self.flaw.startswith("shows"):
            return math.nan if "nan" in self.flaw else 0.0
        return self.bench.watts * (2.0 if self.flaw == "twice the watts" else 1.0)

    def stop(self):
        if self.flaw == "stops once" and not self.on:
            raise MeterError("stopped already")
        self.on = False


class Contract(MeterContract):
    bound_s = 0.3
    flaw = ""

    @pytest.fixture
    def rig(self):
        return Bench()

    @pytest.fixture
    def meter(self, rig):
        return Simple(rig, self.flaw)


class TestAGoodMeter(Contract):
    """Passes all of it."""


@pytest.mark.parametrize(
    ("flaw", "test"),
    [
        ("two rails of one name", "test_says_what_it_measures"),
        ("a total of unknown rails", "test_says_what_it_measures"),
        ("twice the watts", "test_shows_what_is_drawn"),
        ("stamps stand still", "test_stamps_increase_and_are_on_the_clock_given"),
        ("stamps of its own clock", "test_stamps_increase_and_are_on_the_clock_given"),
        ("stamps stand still", "test_a_pause_of_the_reader_invents_nothing"),
        ("shows 0 W when out of range", "test_the_end_of_its_range_is_told"),
        ("shows 0 W for garbage", "test_nonsense_is_told"),
        ("shows nan for garbage", "test_nonsense_is_told"),
        ("shows 0 W when gone", "test_a_meter_that_goes_is_noticed_and_comes_back"),
        ("starts without a meter", "test_a_meter_that_is_not_there_cannot_be_used"),
        ("reads after stop", "test_stop_is_idempotent_and_ends_reading"),
        ("stops once", "test_stop_is_idempotent_and_ends_reading"),
    ],
)
def test_a_broken_promise_is_noticed(flaw, test):
    contract, bench = Contract(), Bench()
    meter = Simple(bench, flaw)
    bench.draw(contract.levels[0])
    check = getattr(contract, test)
    wanted = {"meter": meter, "rig": bench}
    arguments = {name: wanted[name] for name in check.__code__.co_varnames[1 : check.__code__.co_argcount]}
    with pytest.raises((AssertionError, MeterError, pytest.fail.Exception)):
        check(**arguments)


def test_a_meter_of_its_own_pace_gives_no_more_than_it_makes():
    contract, bench = Contract(), Bench()
    contract.own_period = 10**9
    bench.draw(contract.levels[0])
    with pytest.raises(AssertionError):
        contract.test_keeps_its_rate(Simple(bench))


def test_what_does_not_apply_is_skipped_with_its_reason(pytester):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(
        """
        from tests.testbed.contracts.test_meter import Contract

        class TestOne(Contract):
            cannot = {"test_nonsense_is_told": "it sends bare numbers"}
        """
    )
    done = pytester.runpytest_inprocess("-rs", "-p", "no:randomly", "-k", "test_nonsense_is_told")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*it sends bare numbers*"])


def test_time_is_bounded():
    contract, bench = Contract(), Bench()
    bench.draw(1.0)
    begun = time.monotonic()
    with pytest.raises(AssertionError, match="was not shown"):
        meter = Simple(bench)
        meter.start(1)
        contract.settle(meter, 99.0)
    assert time.monotonic() - begun < 100 * contract.bound_s


@pytest.mark.usefixtures("no_alarm")
def test_a_read_that_never_returns_is_caught(pytester):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(
        """
        import time
        import pytest
        from tests.testbed.contracts.test_meter import Contract, Simple

        class Stuck(Simple):
            def read(self, now):
                time.sleep(600)

        class TestOne(Contract):
            bound_s = 0.02

            @pytest.fixture
            def meter(self, rig):
                return Stuck(rig)
        """
    )
    done = pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:timeout", "-k", "test_shows_what")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*a call of the meter hangs*"])
