"""Models and inputs of tasks, from their catalogues, in the form that boards, core and calibration want."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testbed.errors import ConfigError
from testbed.model.lab import ModelFiles
from testbed.zoo.catalog import Catalog, load_catalog, shipped
from testbed.zoo.files import load_graphs, load_predictions, load_samples

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from testbed.model.action import Infer
    from testbed.model.ids import ModelId, TaskId
    from testbed.model.request import Request
    from testbed.ports import Payload

TEST, CALIBRATION = "test", "calibration"


class TaskData:
    """Everything a trial needs of its task; files are checked against their hashes when they are read.

    Attributes:
        images: test inputs, uint8 (n, channels, height, width). labels: int64 (n,); truth: the same as a list.
        input_bytes: size of one input on the link, coded ``raw``.
        models: by name, ready to travel.
        drawn_from: how many labelled samples the test set is a draw from.
    """

    def __init__(self, task: str, folder: Path | None = None) -> None:
        """Read the catalogue and the test set.

        Args:
            folder: a catalogue of one's own; ``None`` for the one shipped for the task.

        Raises:
            ConfigError: no catalogue for the task, or a file is missing or not the one it names.
        """
        self.catalog: Catalog = load_catalog(folder if folder is not None else shipped(task))
        test = load_samples(self.catalog, TEST)
        self.images: NDArray[np.uint8] = test.images.reshape(-1, *self.catalog.input.shape)
        self.labels = test.labels.astype(np.int64)
        self.input_bytes = int(self.images[0].nbytes)
        self.truth: list[int] = self.labels.tolist()
        self.drawn_from = len(self.labels)
        self.models: dict[ModelId, ModelFiles] = {}
        for model in self.catalog.models:
            load_graphs(self.catalog, model.name)  # every file is the one the catalogue names
            self.models[model.name] = ModelFiles(
                name=model.name,
                task=task,
                paths=tuple(self.catalog.directory / part.file for part in model.parts),
                sha256=tuple(part.sha256 for part in model.parts),
                exits=len(model.exits),
                predictions=self.catalog.directory / model.predictions.file,
                predictions_sha256=model.predictions.sha256,
            )

    def inputs(self, samples: tuple[int, ...]) -> Payload:
        """Payload of a batch, uint8 (items, channels, height, width); one item is a view, not a copy."""
        if len(samples) == 1:
            return self.images[samples[0] : samples[0] + 1]
        return self.images[list(samples)]

    def calibration_scores(self, model: ModelId) -> list[NDArray[np.float32]]:
        """Stored probabilities on the calibration set, per exit float32 (n, classes)."""
        return list(load_predictions(self.catalog, model, CALIBRATION).values())

    def test_scores(self, model: ModelId) -> list[NDArray[np.float32]]:
        """Stored probabilities on the test set, per exit float32 (n, classes)."""
        return list(load_predictions(self.catalog, model, TEST).values())

    def calibration_images(self) -> NDArray[np.uint8]:
        """Calibration inputs, uint8 (n, channels, height, width)."""
        images = load_samples(self.catalog, CALIBRATION).images
        return images.reshape(-1, *self.catalog.input.shape)

    def calibration_labels(self) -> NDArray[np.int64]:
        """Labels of the calibration set, int64 (n,)."""
        return load_samples(self.catalog, CALIBRATION).labels.astype(np.int64)


class Data:
    """All tasks of a campaign together.

    Attributes:
        tasks: by name. models: of all tasks, by name.
    """

    def __init__(self, catalogs: Mapping[TaskId, Path | None]) -> None:
        """Read every catalogue.

        Args:
            catalogs: folder of each task's catalogue; ``None`` for the one shipped for it.

        Raises:
            ConfigError: as `TaskData`; or a catalogue is for another task, or two tasks name a model alike.
        """
        self.tasks = {task: TaskData(task, folder) for task, folder in catalogs.items()}
        self.models: dict[ModelId, ModelFiles] = {}
        for task, data in self.tasks.items():
            if data.catalog.task != task:
                raise ConfigError(
                    f"is for task {data.catalog.task!r}, not {task!r}",
                    file=data.catalog.directory,
                    key="task",
                    cure="Name the task in the campaign as its catalogue does",
                )
            for name in self.models.keys() & data.models.keys():
                raise ConfigError(
                    f"model {name!r} is in the catalogue of another task too",
                    file=data.catalog.directory,
                    key=f"models.{name}",
                    cure="Rename one of them: a lab file names models without their task",
                )
            self.models |= data.models

    def of(self, model: ModelId) -> TaskData:
        """The task a model belongs to."""
        return self.tasks[self.models[model].task]

    def inputs(self, order: Infer, samples: tuple[int, ...]) -> Payload:
        """Payload of an order's batch; a batch is of one task, that of its model."""
        return self.of(order.model).inputs(samples)

    def truth(self, request: Request) -> int | None:
        """The right label."""
        return self.tasks[request.task].truth[request.sample]

    def payload_bytes(self, request: Request, codec: str) -> int:
        """Size of a request's payload on the link; only ``raw`` is carried so far."""
        return self.tasks[request.task].input_bytes

    @property
    def samples(self) -> dict[TaskId, int]:
        """Number of test inputs of every task."""
        return {task: len(data.images) for task, data in self.tasks.items()}
