from __future__ import annotations

import hashlib

import numpy as np
import pytest

from testbed.campaign.data import Data, TaskData
from testbed.errors import ConfigError
from testbed.model.request import Request

TASK = "image-classification/fashion-mnist"


@pytest.fixture(scope="module")
def data() -> TaskData:
    return TaskData(TASK)


def test_models_are_the_files_that_their_hashes_name(data):
    assert {"cnn-tiny", "cnn-small", "resnet8", "resnet8-ee"} <= set(data.models)
    for files in data.models.values():
        assert files.task == TASK
        for path, sha256 in zip(files.paths, files.sha256, strict=True):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def test_inputs_come_by_index_and_truth_belongs_to_them(data):
    assert data.images.shape == (2000, 1, 28, 28)
    np.testing.assert_array_equal(data.inputs((5,)), data.images[5:6])
    np.testing.assert_array_equal(data.inputs((5, 3)), data.images[[5, 3]])
    assert data.truth[5] == data.labels[5]
    assert data.input_bytes == 784


def test_what_is_asked_of_all_tasks_comes_from_the_request_s_own():
    data, request = Data({TASK: None}), Request(id=0, task=TASK, sample=5, arrival=0)
    assert data.truth(request) == data.tasks[TASK].labels[5]
    assert data.payload_bytes(request, "raw") == 784


def test_calibration_is_there_for_every_exit(data):
    labels = data.calibration_labels()
    scores = data.calibration_scores("resnet8-ee")
    assert len(scores) == 3
    accuracy = [float((exit_.argmax(axis=1) == labels).mean()) for exit_ in scores]
    assert accuracy == sorted(accuracy)
    assert accuracy[-1] > 0.9


def test_an_unknown_task_is_named():
    with pytest.raises(ConfigError, match="Did you mean"):
        TaskData("image-classification/fashion-mnst")
