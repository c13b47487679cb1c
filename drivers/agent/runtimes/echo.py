"""A runtime that gives back its input: for links, tests and benchmarks; nothing is inferred.

Options: ``sleep_ns`` per exit, ``exits`` (default 1; items take the last unless stopped
by ``stop_after_ns``), ``fail`` (raise this text), ``classes`` (answer so many equal probabilities per item before
the inputs, as a classifier would; default none).
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

from drivers.agent.runtimes import LoadedInfo, Outcome
from testbed.wire import Tensor
from testbed.wire.messages import CANCELLED_EXIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet


class EchoRuntime:
    """Outputs are the inputs; rows of cancelled items are given back too."""

    def __init__(self) -> None:
        """Nothing is loaded."""
        self._models: dict[str, tuple[int, int, str]] = {}
        self._classes: dict[str, int] = {}

    def load(
        self, model: str, paths: Sequence[str], options: Mapping[str, object], instances: int
    ) -> LoadedInfo:
        """Note the options.

        Raises:
            ValueError: ``sleep_ns``, ``exits`` or ``classes`` is no number.
        """
        sleep_ns, exits = int(str(options.get("sleep_ns", 0))), int(str(options.get("exits", 1)))
        self._models[model] = (sleep_ns, exits, str(options.get("fail", "")))
        self._classes[model] = int(str(options.get("classes", 0)))
        return LoadedInfo(0, f"echo of {len(paths)} files, {instances} instances")

    def run(
        self,
        model: str,
        instance: int,
        inputs: Sequence[Tensor],
        thresholds: Sequence[Sequence[float]],
        stop_after_ns: Sequence[int],
        samples: Sequence[int],
        cancelled: Callable[[], AbstractSet[int]],
        lost_rows: int = 0,
    ) -> Outcome:
        """Sleep, look for cancellations, give the inputs back.

        Raises:
            RuntimeError: the model was loaded with ``fail``.
        """
        sleep_ns, exits, fail = self._models[model]
        if fail:
            raise RuntimeError(fail)
        begin = time.monotonic_ns()
        taken = [exits - 1] * len(thresholds)
        inside = set(range(len(thresholds)))
        for depth in range(exits):
            if sleep_ns:
                time.sleep(sleep_ns / 1e9)
            gone = inside & cancelled()
            for i in gone:
                taken[i] = CANCELLED_EXIT
            inside -= gone
            spent = time.monotonic_ns() - begin
            late = [i for i in inside if 0 < stop_after_ns[i] <= spent]
            for i in late:
                taken[i] = depth
            inside.difference_update(late)
            if not inside:
                break
        return Outcome(taken, self._told(model, len(thresholds), inputs), {"instance": instance})

    def _told(self, model: str, batch: int, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        classes = self._classes[model]
        if not classes:
            return inputs
        equal = struct.pack("<f", 1 / classes) * (batch * classes)
        return (Tensor("float32", (batch, classes), equal), *inputs)

    def unload(self, model: str) -> None:
        """Forget the options."""
        self._models.pop(model, None)
        self._classes.pop(model, None)

    def facts(self) -> Mapping[str, object]:
        """It is always there."""
        return {"version": "1"}
