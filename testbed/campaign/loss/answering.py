"""A model of a catalogue, run on inputs that nobody stored answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testbed.campaign.data import TaskData
    from testbed.model.ids import ModelId

_BATCH = 64


class Answering:
    """Its graphs one after the other, on one thread, so that the same inputs give the same bits."""

    def __init__(self, data: TaskData, model: ModelId) -> None:
        """Load the graphs."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        described = data.catalog.model(model)
        self._exits = [exit_.name for exit_ in described.exits]
        self._parts = [
            (
                part.input,
                part.outputs[-1],
                onnxruntime.InferenceSession(
                    str(data.catalog.directory / part.file), options, providers=["CPUExecutionProvider"]
                ),
            )
            for part in described.parts
        ]

    def scores(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """What it answers, per exit float32 (n, classes), as stored predictions are laid out.

        Args:
            images: uint8 (n, ...) as its first graph takes them.
        """
        found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self._exits}
        for at in range(0, len(images), _BATCH):
            value = images[at : at + _BATCH]
            for input_, handed_on, session in self._parts:
                names = [output.name for output in session.get_outputs()]
                outputs = dict(zip(names, session.run(names, {input_: value}), strict=True))
                for name in found.keys() & outputs.keys():
                    found[name].append(outputs[name])
                value = outputs[handed_on]
        return [np.concatenate(found[name]) for name in self._exits]
