"""Takes models and batches, gives outcomes: what an executor asks of a runtime.

One object per runtime name serves all its models; it is called by one thread per lane
(``instance``), which serves all models in turn.
Does not know the wire's sessions, queues or clocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Protocol

    from testbed.wire import Tensor

    class Runtime(Protocol):
        """Executes models. Whatever it raises is reported to the host with its traceback."""

        def load(
            self, model: str, paths: Sequence[str], options: Mapping[str, object], instances: int
        ) -> LoadedInfo:
            """Make ``model`` resident from verified files in chain order."""

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
            """Execute a batch; ``thresholds`` and ``samples`` as in ``Infer``.

            ``stop_after_ns`` always has an entry for each item: it leaves at the first exit reached so long
            after the start, 0 for never. The look is taken when an exit has run.
            ``cancelled()`` gives the items cancelled so far; look before the first exit and between exits.
            Bit y of ``lost_rows`` is set where row y of every input was lost on its way; the input holds what was put
            in its place, so that a runtime may go without.
            """

        def unload(self, model: str) -> None:
            """Free ``model``; nothing of it runs any more."""

        def facts(self) -> Mapping[str, object]:
            """What the host should know: version, providers."""


class LoadedInfo(NamedTuple):
    """What loading did: memory taken [bytes], 0 if unknown, and a line for people."""

    memory_bytes: int
    text: str


class Outcome(NamedTuple):
    """What a batch of n items gave.

    ``exits`` has n entries, ``CANCELLED_EXIT`` (255) for items not executed to an exit; ``outputs[0]``
    holds the probabilities, (n, classes), zeros for those; ``report`` is free-form, JSON-able.
    """

    exits: Sequence[int]
    outputs: Sequence[Tensor]
    report: Mapping[str, object]
