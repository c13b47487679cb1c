"""Between the exit rule of a request and what the overlay compares: confidence is 32768 over a sum of integers.

At an exit with logits q the overlay takes ``total = sum(table[max(q) - q_i])``, ``table[d] = round(32768 *
exp(-d * scale / temperature))``, and leaves if ``total <= limit``. So 32768 / total is the largest softmax probability,
and ``confidence >= threshold`` is ``total <= floor(32768 / threshold)``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from drivers.agent.runtimes.overlay.engine import ALWAYS, NEVER

if TYPE_CHECKING:
    from typing import Sequence

    from drivers.agent.runtimes.overlay.program_file import ProgramExit

ONE = 32768


def limit_of(threshold: float) -> int:
    """The largest sum at which an exit is confident enough; a NaN never is."""
    if threshold <= 0:
        return ALWAYS
    if not threshold <= 1:
        return NEVER
    return math.floor(ONE / threshold)


def limits_of(
    thresholds: Sequence[float], exits: Sequence[ProgramExit], *, left_cycles: float = math.inf
) -> list[int]:
    """Per exit its limit; the last always leaves.

    Args:
        thresholds: per exit, as many as are given; an exit without one is passed.
        left_cycles: the item leaves at the first exit that is expected so many cycles after its start.
    """
    limits = []
    for number, one in enumerate(exits):
        if number == len(exits) - 1 or one.cycles >= left_cycles:
            limits.append(ALWAYS)
        else:
            limits.append(limit_of(thresholds[number]) if number < len(thresholds) else NEVER)
    return limits


def table_of(one: ProgramExit) -> Any:  # noqa: ANN401 - numpy is not imported here
    """The overlay's table of an exit, float64 (256,): what a logit d below the largest one counts."""
    import numpy as np

    return np.rint(ONE * np.exp(-np.arange(256) * (one.scale / one.temperature)))


def probabilities_of(logits: bytes, table: Any) -> Any:  # noqa: ANN401
    """Softmax as the overlay counts it, float32 (classes,); the largest is the confidence it compared."""
    import numpy as np

    q = np.frombuffer(logits, np.int8).astype(np.int16)
    weights = table[q.max() - q]
    return (weights / weights.sum()).astype(np.float32)
