"""Waits that end on time: sleep for the most part, spin for the rest."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_TIMERSLACK: Final = 29
_UNSHARED: Final = 150_000
"""Below the interpreter's switch interval (0.2 ms, see `sharpen_timers`): nobody can ask for it in between [ns]."""


def wait_until(deadline: int, spin: int) -> int:
    """Return once ``time.monotonic_ns()`` has reached ``deadline``.

    Sleeps until ``spin`` before it, so a wake-up that comes late by less than that costs nothing. While spinning,
    a sleep of zero lets the process's other threads in; not so in the last stretch, where one that takes the
    interpreter would give it back too late.

    Args:
        deadline, spin: [ns].

    Returns:
        When it returned [ns].
    """
    now = time.monotonic_ns()
    while now < deadline:
        left = deadline - now - spin
        if left > 0:
            time.sleep(left / 1e9)
        elif deadline - now > min(_UNSHARED, spin):
            time.sleep(0)
        now = time.monotonic_ns()
    return now


def sharpen_timers() -> None:
    """Ask the kernel to wake this process's threads when they asked for, not up to 50 µs later.

    Threads started later inherit it. Other systems than Linux are left alone. Also hands the interpreter from one
    thread to the next after 0.2 ms, so that a waiter is not held up by a computing thread for 5 ms.

    Source: prctl(2), PR_SET_TIMERSLACK.
    """
    sys.setswitchinterval(0.0002)
    _prctl(_PR_SET_TIMERSLACK, 1)


def take_priority() -> bool:
    """Run this thread, and those of the process that start later, before ordinary processes; whether it could be had.

    What a virtual board computes is little, but has to happen on time. The kernel still gives other processes a
    twentieth of each second. Programs that the board starts (``nvpmodel``, an audit) are ordinary ones again: the
    kernel resets the policy in whatever is forked, threads included, so threads take it anew.

    Source: sched(7), SCHED_RESET_ON_FORK and sched_rt_runtime_us.
    """
    if sys.platform != "linux" or not _go_first():
        return False
    threading.setprofile(_go_first_too)
    return True


def _go_first() -> bool:
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        return False
    return True


def _go_first_too(*_: object) -> None:
    """Called by a new thread before its ``run``; threading has no other hook there, and nothing is profiled."""
    sys.setprofile(None)
    _go_first()


def die_with_parent(*, with_children: bool = False) -> None:
    """Be killed when the parent process ends, however it ends; to be called by the main thread.

    Args:
        with_children: take the whole process group along, which this process leads from now on; the kernel's word is
            then a ``SIGTERM``, upon which we do it. Of use where others are started that know nothing of parents, and
            waited for: a process that ends by itself leaves them.

    Source: prctl(2), PR_SET_PDEATHSIG, which holds for the process that asks and not for its children.
    """
    if with_children:
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM if with_children else signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)
