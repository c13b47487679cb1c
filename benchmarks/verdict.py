"""How every benchmark ends: one line of JSON that a person or a script can hold against its targets."""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def arguments(description: str | None) -> argparse.Namespace:
    """What the command line of every benchmark takes: ``--quick`` asks only whether it runs, not for figures."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a small n: shows that it runs, not how fast")
    return parser.parse_args()


def missed(figures: Mapping[str, float], targets: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Names of targets that their figure does not reach; a figure that is not a number reaches none.

    Args:
        targets: per figure ``{"min": x}``, ``{"max": x}`` or both.

    Raises:
        ValueError: a target without a figure, or with other keys.
    """
    unknown = [name for name in targets if name not in figures]
    if unknown or any(not target or set(target) - {"min", "max"} for target in targets.values()):
        raise ValueError(f"every target needs a figure and a min or a max: {unknown or dict(targets)}")
    return [
        name
        for name, target in targets.items()
        if not target.get("min", -math.inf) <= figures[name] <= target.get("max", math.inf)
    ]


def conclude(
    bench: str,
    figures: Mapping[str, float],
    targets: Mapping[str, Mapping[str, float]],
    n: Mapping[str, int],
) -> int:
    """Print the line; the exit code of the benchmark: 0 if every target is met, else 1."""
    met = not missed(figures, targets)
    rounded = {name: value if isinstance(value, int) else round(value, 6) for name, value in figures.items()}
    line = {"bench": bench, "figures": rounded, "targets": targets, "n": n, "met": met}
    print(json.dumps(line))
    return 0 if met else 1
