import numpy as np

from testbed.campaign.data import TaskData
from testbed.campaign.loss.answering import Answering


def test_without_loss_the_real_model_says_what_is_stored():
    data = TaskData("image-classification/fashion-mnist")
    for model in ("cnn-small", "resnet8-ee"):
        stored = data.calibration_scores(model)
        found = Answering(data, model).scores(data.calibration_images()[:70])
        assert len(found) == len(stored)
        for mine, theirs in zip(found, stored, strict=True):
            assert np.abs(mine - theirs[:70]).max() < 2e-3  # stored in half precision
