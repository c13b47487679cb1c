"""Loads whose power and energy are known at every instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LEAD_S = 8.0
"""Rest before and after the load."""


class Load:
    """Power that is constant between breakpoints, and may warm up within the load.

    Attributes:
        start, end: of the load [s]. idle_w: power outside of it [W].
    """

    def __init__(
        self,
        edges: NDArray[np.float64],
        levels: NDArray[np.float64],
        idle_w: float,
        warm_w: float = 0.0,
        tau_s: float = 1.0,
    ) -> None:
        """Sum up once.

        Args:
            edges: breakpoints [s], shape (n + 1,), increasing, from the load's start to its end.
            levels: power between them [W], shape (n,).
            warm_w, tau_s: what is added in the end as the load warms the board, and its time constant.
        """
        self.start, self.end, self.idle_w = float(edges[0]), float(edges[-1]), idle_w
        self._warm_w, self._tau_s = warm_w, tau_s
        self._edges = edges
        self._sum = np.concatenate(([0.0], np.cumsum(levels * np.diff(edges))))

    def energy(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy up to each instant [J], exact; 0 at the start of the load."""
        inside = np.clip(t, self.start, self.end)
        rest = self.idle_w * (t - inside)
        since = inside - self.start
        warm = self._warm_w * (since - self._tau_s * -np.expm1(-since / self._tau_s))
        found: NDArray[np.float64] = np.interp(inside, self._edges, self._sum) + rest + warm
        return found

    def mean(self, start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean power of each interval [W]."""
        found: NDArray[np.float64] = (self.energy(end) - self.energy(start)) / (end - start)
        return found


def _constant(rng: np.random.Generator, length: float, idle_w: float, load_w: float) -> Load:
    """Nothing ever changes."""
    level = rng.uniform(idle_w, load_w)
    return Load(_ends(length), np.array([level]), level)


def square(length: float, idle_w: float, load_w: float) -> Load:
    """On at the start, off at the end."""
    return Load(_ends(length), np.array([load_w]), idle_w)


def _square(rng: np.random.Generator, length: float, idle_w: float, load_w: float) -> Load:
    """Of any height."""
    return square(length, idle_w, rng.uniform(0.6, 1.0) * load_w)


def _steps(rng: np.random.Generator, length: float, idle_w: float, load_w: float) -> Load:
    """A handful of levels, each held for a while."""
    cuts = np.sort(rng.uniform(0.0, length, int(rng.integers(4, 10))))
    edges = LEAD_S + np.concatenate(([0.0], cuts, [length]))
    return Load(edges, rng.uniform(idle_w, load_w, edges.size - 1), idle_w)


def _bursts(rng: np.random.Generator, length: float, idle_w: float, load_w: float) -> Load:
    """Executions of 2 to 60 ms at random times, idle in between: single requests on a board."""
    busy = rng.uniform(0.002, 0.060)
    pauses = rng.exponential(rng.uniform(0.5, 3.0) * busy, int(2 * length / busy) + 2)
    edges = np.cumsum(np.column_stack((np.full(pauses.size, busy), pauses)).ravel())
    edges = np.concatenate(([0.0], edges[edges < length], [length]))
    levels = np.where(np.arange(edges.size - 1) % 2 == 0, load_w * rng.uniform(0.6, 1.0), idle_w)
    return Load(LEAD_S + edges, levels, idle_w)


def _pwm(rng: np.random.Generator, length: float, idle_w: float, load_w: float) -> Load:
    """Switched on and off at a constant rate that knows nothing of the meter's."""
    period = 1.0 / np.exp(rng.uniform(np.log(3.0), np.log(500.0)))
    duty = rng.uniform(0.2, 0.8)
    starts = np.arange(0.0, length, period)
    edges = np.column_stack((starts, starts + duty * period)).ravel()
    edges = np.concatenate((edges[edges < length], [length]))
    levels = np.where(np.arange(edges.size - 1) % 2 == 0, load_w, idle_w)
    return Load(LEAD_S + edges, levels, idle_w)


def _ramp(rng: np.random.Generator, length: float, idle_w: float, load_w: float) -> Load:
    """A load that draws more as it warms up."""
    warm = rng.uniform(0.05, 0.3) * load_w
    return Load(_ends(length), np.array([load_w - warm]), idle_w, warm, rng.uniform(0.2, 1.0) * length)


def executions(
    rng: np.random.Generator, length: float, idle_w: float, load_w: float
) -> tuple[Load, NDArray[np.float64], NDArray[np.int64], tuple[float, float]]:
    """Executions of two kinds in random order with random pauses, all too short for most meters.

    Returns:
        the load, start and end of each execution [s] of shape (m, 2), its kind (m,), and the power of both kinds above
        idle [W].
    """
    services = np.array([rng.uniform(0.002, 0.01), rng.uniform(0.01, 0.04)])
    powers = (load_w - idle_w) * np.array([rng.uniform(0.2, 0.5), rng.uniform(0.6, 1.0)])
    count = int(length / services.min())
    kinds = (rng.random(count) < rng.uniform(0.3, 0.7)).astype(np.int64)
    # Which kind prevails changes now and then, as requests do.
    kinds ^= (
        np.sin(np.arange(count) * services.mean() * rng.uniform(0.5, 2.0)) > rng.uniform(0.0, 0.8)
    ).astype(np.int64)
    busy = services[kinds] * rng.uniform(0.8, 1.2, count)
    ends = np.cumsum(busy + rng.exponential(services.mean() * rng.uniform(0.3, 2.0), count))
    kept = ends < length
    starts = (ends - busy)[kept]
    edges = np.column_stack((starts, ends[kept])).ravel()
    levels = np.full(edges.size + 1, idle_w)
    levels[1::2] += powers[kinds[kept]]
    load = Load(LEAD_S + np.concatenate(([0.0], edges, [length])), levels, idle_w)
    return load, LEAD_S + edges.reshape(-1, 2), kinds[kept], (float(powers[0]), float(powers[1]))


def _ends(length: float) -> NDArray[np.float64]:
    return np.array([LEAD_S, LEAD_S + length])


LOADS: dict[str, Callable[[np.random.Generator, float, float, float], Load]] = {
    "constant": _constant,
    "square": _square,
    "steps": _steps,
    "bursts": _bursts,
    "pwm": _pwm,
    "ramp": _ramp,
}
"""By name: of a generator, the load's length [s], idle and full power [W]."""
