"""Calibration and test samples drawn anew from all that are labelled.

Thresholds rest on one draw of calibration samples, and one draw may be easier or harder than the inputs that requests
then show: a result on a single draw, however many arrivals it is played with, is a result about that draw. Where every
seed draws anew, its spread covers the draw too.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from testbed.campaign.data import Data, TaskData
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, ProfileBook, Quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testbed.model.ids import ModelId

STREAM = 0x53


class Redrawn(TaskData):
    """A task whose two sets are drawn anew; their sizes stay.

    For virtual time: the predictions that boards replay are laid out as the sets were shipped.
    """

    def __init__(self, shipped: TaskData, seed: int) -> None:
        """Draw. Both sets must be exchangeable, as two draws from one pool are."""
        self._shipped = shipped
        self.catalog, self.models, self.input_bytes = shipped.catalog, shipped.models, shipped.input_bytes
        known = shipped.calibration_labels()
        self.drawn_from = len(known) + len(shipped.labels)
        order = np.random.default_rng([seed, STREAM]).permutation(self.drawn_from)
        self._known, self._asked = order[: len(known)], order[len(known) :]
        self._labels = np.concatenate([known, shipped.labels])
        self.images = self._all_images()[self._asked]
        self.labels = self._labels[self._asked]
        self.truth = self.labels.tolist()

    def calibration_scores(self, model: ModelId) -> list[NDArray[np.float32]]:
        """As of any task."""
        return [scores[self._known] for scores in self._all_scores(model)]

    def test_scores(self, model: ModelId) -> list[NDArray[np.float32]]:
        """As of any task."""
        return [scores[self._asked] for scores in self._all_scores(model)]

    def calibration_images(self) -> NDArray[np.uint8]:
        """As of any task."""
        found: NDArray[np.uint8] = self._all_images()[self._known]
        return found

    def calibration_labels(self) -> NDArray[np.int64]:
        """As of any task."""
        found: NDArray[np.int64] = self._labels[self._known]
        return found

    def _all_images(self) -> NDArray[np.uint8]:
        return np.concatenate([self._shipped.calibration_images(), self._shipped.images])

    def _all_scores(self, model: ModelId) -> list[NDArray[np.float32]]:
        both = zip(self._shipped.calibration_scores(model), self._shipped.test_scores(model), strict=True)
        return [np.concatenate(pair) for pair in both]


def redrawn(data: Data, seed: int) -> Data:
    """The same tasks and models on samples drawn anew."""
    again = copy.copy(data)
    again.tasks = {task: Redrawn(one, seed) for task, one in data.tasks.items()}
    return again


def with_known_accuracies(profiles: ProfileBook, data: Data) -> ProfileBook:
    """Profiles that know of each model's accuracy what its calibration samples say, and nothing of the test."""
    known: dict[ModelId, tuple[Quantity, ...]] = {}
    rows: dict[tuple[str, str], HwProfile] = {}
    for (board, model), profile in profiles.rows.items():
        if model not in known:
            known[model] = _accuracies(data.of(model), model)
        rows[board, model] = msgspec.structs.replace(profile, accuracy=known[model])
    return ProfileBook(rows)


def _accuracies(data: TaskData, model: ModelId) -> tuple[Quantity, ...]:
    labels = data.calibration_labels()
    right = [int((scores.argmax(axis=1) == labels).sum()) for scores in data.calibration_scores(model)]
    return tuple(
        Quantity(
            value=n / len(labels),
            origin=Origin.MEASURED,
            source=f"stored predictions: {n} of {len(labels)} calibration samples right",
        )
        for n in right
    )
