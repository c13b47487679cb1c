"""What a modelled board holds in memory: loads take their time, one after the other, and must fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.units import MS, Ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.model.action import Load
    from testbed.model.ids import ModelId
    from testbed.model.profile import HwProfile


class Residency:
    """Models with the instant from which each can be used.

    Attributes:
        loads: how many were carried out, those that found their model held already left out.

    Loading does not hold up what executes, as on a board whose agent loads in a thread of its own.
    """

    def __init__(
        self,
        profiles: Mapping[ModelId, HwProfile],
        resident: Iterable[ModelId] | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        """Begin with some models held; by default with all.

        Args:
            memory_bytes: room for models; ``None`` for enough.
        """
        self._profiles = profiles
        self._memory = memory_bytes
        self._ready: dict[ModelId, Ns] = dict.fromkeys(profiles if resident is None else resident, 0)
        self._free: Ns = 0
        self.loads = 0

    def holds(self, model: ModelId, at: Ns) -> bool:
        """Whether a model can be used at an instant."""
        ready = self._ready.get(model)
        return ready is not None and ready <= at

    def load(self, order: Load, arrives: Ns) -> tuple[Ns, Ns, str]:
        """Carry out a load that arrives at an instant; what it evicts is gone at once.

        Returns:
            when it is over, how long it took, and why it failed or an empty string.
        """
        for model in order.evict:
            self._ready.pop(model, None)
        if order.model in self._ready:
            return max(arrives, self._ready[order.model]), 0, ""
        begin = max(arrives, self._free)
        took = self._time(order.model)
        self._free = begin + took
        used = sum(self._size(model) for model in (*self._ready, order.model))
        if self._memory is not None and used > self._memory:
            return self._free, took, f"{order.model} does not fit: {used:.0f} of {self._memory} bytes"
        self._ready[order.model] = self._free
        self.loads += 1
        return self._free, took, ""

    def _time(self, model: ModelId) -> Ns:
        """As profiled; nothing where no profile says."""
        quantity = self._profiles[model].load_ms
        return 0 if quantity is None else round(quantity.value * MS)

    def _size(self, model: ModelId) -> float:
        quantity = self._profiles[model].memory_bytes
        return 0.0 if quantity is None else quantity.value
