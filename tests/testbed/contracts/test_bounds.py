"""What never returns is noticed where it waits, and other tools' alarms are left alone."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest

from testbed.contracts.bounds import must_return, run_unblocked


@pytest.mark.usefixtures("no_alarm")
def test_a_call_that_never_returns_is_told():
    with (
        pytest.raises(AssertionError, match=r"no return within 0\.02 s: it hangs"),
        must_return(0.02, "it hangs"),
    ):
        time.sleep(600)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


@pytest.mark.usefixtures("no_alarm")
def test_what_cleans_up_and_never_returns_is_told_too():
    with pytest.raises(AssertionError), must_return(0.02, "it hangs"):
        try:
            time.sleep(600)
        finally:
            time.sleep(600)


@pytest.mark.usefixtures("no_alarm")
def test_a_loop_that_turns_starts_the_time_anew_each_time(monkeypatch):
    alarms, enough = [], asyncio.Event()

    def recorded(_: int, *times: float) -> None:
        alarms.append(times)
        if len(alarms) == 5:
            enough.set()

    monkeypatch.setattr(signal, "setitimer", recorded)

    async def long() -> None:
        await enough.wait()

    run_unblocked(long(), 0.02, "it")
    assert alarms[:5] == [(0.02, 0.02)] * 5
    assert alarms[-1] == (0,)


@pytest.mark.usefixtures("no_alarm")
def test_what_blocks_the_loop_is_told_as_often_as_it_does():
    async def blocked() -> None:
        try:
            time.sleep(600)  # noqa: ASYNC251 - the fault itself
        finally:
            time.sleep(600)  # noqa: ASYNC251

    with pytest.raises(AssertionError, match="it blocks the event loop"):
        run_unblocked(blocked(), 0.1, "it")


@pytest.mark.usefixtures("no_alarm")
def test_the_alarm_of_another_tool_is_left_alone():
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    signal.setitimer(signal.ITIMER_REAL, 600)
    try:
        with must_return(0.01, "it hangs") as start_anew:
            start_anew()
            time.sleep(0.05)
        assert not rang
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 500
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("no_alarm")
def test_another_thread_has_no_alarm():
    done = []

    def elsewhere() -> None:
        with must_return(0.01, "it hangs"):
            time.sleep(0.05)
            done.append(signal.getitimer(signal.ITIMER_REAL)[0])

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert done == [0]
