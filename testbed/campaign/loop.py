"""The event loop that live runs use."""

from __future__ import annotations

import asyncio
import selectors


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are good to some tens of microseconds.

    asyncio rounds a wait up to the resolution of its selector: a whole millisecond for epoll, a microsecond
    for select. A lab has a few dozen descriptors, far from select's limit of 1024.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())
