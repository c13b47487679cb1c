"""How the driver and a far-side process talk: one JSON object a line, over the process's standard streams.

The far side's first line announces what it offers. After that each order, ``{"do": NAME, ...}``, is answered by
``{"done": NAME}`` or ``{"done": NAME, "error": TEXT}``, in order. The end of its input ends the far side.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Order = Callable[..., Awaitable[None]]


def announce(message: Mapping[str, object]) -> None:
    """Tell the driver one thing."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def obey(orders: Mapping[str, Order]) -> None:
    """Carry out orders from standard input until it ends.

    An order that fails is answered with its error: the far side lives on, and the test that gave it fails.
    """
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        message: dict[str, Any] = json.loads(line)
        name = message.pop("do")
        order = orders.get(name)
        if order is None:
            announce({"done": name, "error": f"unknown order; known: {sorted(orders)}"})
            continue
        try:
            await order(**message)
        except (OSError, TypeError, ValueError) as error:
            announce({"done": name, "error": f"{type(error).__name__}: {error}"})
        else:
            announce({"done": name})
