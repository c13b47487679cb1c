"""ONNX models through onnxruntime, single graphs and chains of parts with an exit each.

A chain ``part0, part1, ...``: part 0 takes the input and gives ``exit0`` (probabilities) and features; part
k takes features of part k-1, by name, and gives ``exit<k>`` and features. The exit is the output named
``exit<k>`` or ``probabilities``, else the first. After an exit, items that are confident enough, or that have been
inside for as long as their ``stop_after_ns``, leave the batch.

Options: ``provider`` (force one), ``threads`` (intra-op, default: onnxruntime's own), ``spin`` (let its threads spin
between runs, default true; false leaves the cores to others), ``warmup`` (runs at load, default 1; inputs of
zeros, dynamic axes as 1).

Source: provider names and their order of preference, onnxruntime documentation "Execution Providers".
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.agent.runtimes import LoadedInfo, Outcome
from testbed.wire import Tensor
from testbed.wire.messages import CANCELLED_EXIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

PREFERRED = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
_ELEMENTS = {"float": "float32", "double": "float64"}


class OnnxRuntime:
    """All ONNX models of this board; needs numpy and onnxruntime when first asked."""

    def __init__(self) -> None:
        """Import nothing yet."""
        self._models: dict[str, list[list[Any]]] = {}

    def load(
        self, model: str, paths: Sequence[str], options: Mapping[str, object], instances: int
    ) -> LoadedInfo:
        """Open ``paths`` once per instance and warm them up.

        Raises:
            ImportError: onnxruntime or numpy is not installed.
            ValueError: no files, or a provider that this board has not.
        """
        import onnxruntime as ort

        if not paths:
            raise ValueError("an ONNX model needs at least one file")
        available = ort.get_available_providers()
        wanted = str(options.get("provider", ""))
        if wanted and wanted not in available:
            raise ValueError(f"no {wanted} on this board; there are {', '.join(available)}")
        providers = [wanted] if wanted else [name for name in PREFERRED if name in available]
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = int(str(options.get("threads", 0)))
        settings.log_severity_level = 3
        if not options.get("spin", True):
            settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        before = _resident_bytes()
        chains = [
            [ort.InferenceSession(p, settings, providers=providers) for p in paths] for _ in range(instances)
        ]
        used = chains[0][0].get_providers()[0]
        if wanted and used != wanted:
            # onnxruntime falls back to the CPU with no more than a log line; figures would be filed under a lie.
            raise ValueError(f"{wanted} was asked for, but onnxruntime could only start {used}")
        for chain in chains:
            for _ in range(int(str(options.get("warmup", 1)))):
                _warm(chain)
        self._models[model] = chains
        return LoadedInfo(max(0, _resident_bytes() - before), f"onnxruntime {ort.__version__}, {used}")

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
        """Run the chain until every item has left it.

        Raises:
            ValueError: the batch does not match its input.
        """
        begin = time.monotonic_ns()
        import numpy as np

        chain = self._models[model][instance]
        given = _array(inputs[0])
        batch = len(thresholds)
        if given.shape[:1] != (batch,):
            raise ValueError(f"input of shape {given.shape} for a batch of {batch}")
        exits = [CANCELLED_EXIT] * batch
        probabilities: Any = None
        items = np.arange(batch)
        features = {chain[0].get_inputs()[0].name: given}
        exit_ns: list[int] = []
        for depth, part in enumerate(chain):
            items, features = _without(cancelled(), items, features)
            if not len(items):
                break
            scores, features = _run_part(part, depth, features)
            spent = time.monotonic_ns() - begin
            exit_ns.append(spent)
            if probabilities is None:
                probabilities = np.zeros((batch, scores.shape[1]), scores.dtype)
            best = scores.max(axis=1)
            last = depth == len(chain) - 1
            leaves = np.array(
                [
                    last
                    or (depth < len(thresholds[i]) and best[row] >= thresholds[i][depth])
                    or 0 < stop_after_ns[i] <= spent
                    for row, i in enumerate(items)
                ]
            )
            gone = items[leaves]
            probabilities[gone] = scores[leaves]
            for i in gone:
                exits[i] = depth
            stays = ~leaves
            items = items[stays]
            if len(items) and not stays.all():
                features = {name: value[stays] for name, value in features.items()}
        outputs = () if probabilities is None else (_tensor(probabilities),)
        return Outcome(exits, outputs, {"exit_ns": exit_ns})

    def unload(self, model: str) -> None:
        """Drop the sessions."""
        self._models.pop(model, None)

    def facts(self) -> Mapping[str, object]:
        """Version and providers, or why it cannot be used."""
        try:
            import numpy as np
            import onnxruntime as ort
        except ImportError as error:
            return {"available": False, "reason": str(error)}
        providers = ort.get_available_providers()
        chosen = next((name for name in PREFERRED if name in providers), "")
        return {
            "available": True,
            "version": ort.__version__,
            "numpy": np.__version__,
            "providers": list(providers),
            "chosen": chosen,
        }


def _array(tensor: Tensor) -> Any:  # noqa: ANN401 - numpy is not imported here
    import numpy as np

    array = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
    return array if array.flags.aligned else array.copy()


def _tensor(array: Any) -> Tensor:  # noqa: ANN401
    return Tensor(str(array.dtype), tuple(array.shape), array.tobytes())


def _without(gone: AbstractSet[int], items: Any, features: dict[str, Any]) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """Take cancelled items out of the batch."""
    if not gone:
        return items, features
    import numpy as np

    stays = ~np.isin(items, list(gone))
    return items[stays], {name: value[stays] for name, value in features.items()}


def _run_part(part: Any, depth: int, features: dict[str, Any]) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """Scores of this exit, and every output by name for the next part."""
    needed = [entry.name for entry in part.get_inputs()]
    if len(needed) == 1 and needed[0] not in features and len(features) == 1:
        features = {needed[0]: next(iter(features.values()))}
    names = [entry.name for entry in part.get_outputs()]
    values = dict(zip(names, part.run(names, {name: features[name] for name in needed})))
    exit_name = next((n for n in (f"exit{depth}", "probabilities") if n in values), names[0])
    return values.pop(exit_name), values


def _warm(chain: Sequence[Any]) -> None:
    import numpy as np

    first = chain[0].get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in first.shape]
    element = first.type[len("tensor(") : -1]
    features = {first.name: np.zeros(shape, _ELEMENTS.get(element, element))}
    for depth, part in enumerate(chain):
        _, features = _run_part(part, depth, features)


def _resident_bytes() -> int:
    """Memory of this process, 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
