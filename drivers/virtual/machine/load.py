"""How much power a virtual board draws: idle, and more while something executes."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Load:
    """Integrates the power of a board over time.

    Executions at the same time share the board: together they draw what the most demanding of them draws.
    """

    def __init__(
        self, idle_w: float, active_w: dict[str, float], *, now: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Start at rest.

        Args:
            idle_w: at rest [W].
            active_w: while a model executes [W], by model.
            now: the host's clock [ns].
        """
        self.idle_w = idle_w
        self._extra = {model: max(watts - idle_w, 0.0) for model, watts in active_w.items()}
        self._now = now
        self._running: list[float] = []
        self._work_j = 0.0
        self._since = now()
        self._guard = threading.Lock()

    @contextmanager
    def executing(self, model: str) -> Iterator[None]:
        """Draw the model's active power inside this block."""
        extra = self._extra.get(model, 0.0)
        self._change(extra, self._running.append)
        try:
            yield
        finally:
            self._change(extra, self._running.remove)

    def reading(self) -> tuple[int, float]:
        """The instant [ns] and the energy above idle since the start [J]."""
        with self._guard:
            self._settle()
            return self._since, self._work_j

    def _change(self, extra: float, how: Callable[[float], None]) -> None:
        with self._guard:
            self._settle()
            how(extra)

    def _settle(self) -> None:
        now = self._now()
        self._work_j += max(self._running, default=0.0) * (now - self._since) / 1e9
        self._since = now
