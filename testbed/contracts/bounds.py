"""Makes a call that never returns a failure of its test, in the main thread and unless another tool's alarm is set."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType


@contextlib.contextmanager
def must_return(bound_s: float, what: str) -> Iterator[Callable[[], None]]:
    """Fail where the block takes too long, again and again until it ends; calling what is given starts the time anew.

    Raises:
        AssertionError: ``bound_s`` went by; says ``what`` hangs, and the traceback shows where it waited.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield lambda: None
        return

    def rang(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"no return within {bound_s} s: {what}")

    def set_alarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, bound_s, bound_s)

    before = signal.signal(signal.SIGALRM, rang)
    set_alarm()
    try:
        yield set_alarm
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_unblocked(work: Coroutine[Any, Any, None], bound_s: float, what: str) -> None:
    """Run a coroutine, and fail where something keeps the event loop from turning.

    Raises:
        AssertionError: it did not turn for ``bound_s``; the traceback shows what kept it.
    """
    with must_return(bound_s, f"{what} blocks the event loop") as start_anew:

        async def turning() -> None:
            loop = asyncio.get_running_loop()

            def turn() -> None:
                start_anew()
                loop.call_later(bound_s / 4, turn)

            turn()
            await work

        asyncio.run(turning())
