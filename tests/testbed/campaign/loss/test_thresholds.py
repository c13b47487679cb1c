import msgspec
import numpy as np
import pytest

from testbed.campaign.loss.spec import LossStudy
from testbed.campaign.loss.thresholds import Answers, Bucket, Case, threshold_rows

N = 4000
STUDY = LossStudy(
    schema=1,
    kind="loss",
    name="x",
    frontends=("edge",),
    backend="dc",
    targets=(0.9,),
    buckets=(0.5,),
    splits=10,
)
RNG = np.random.default_rng(5)
LABELS = RNG.integers(0, 2, N)


def answers(accuracy_of_sure: float) -> np.ndarray:
    """Scores of two classes: the surer, the more often right, up to ``accuracy_of_sure``."""
    sure = RNG.uniform(0.5, 1.0, N)
    right = RNG.random(N) < 0.5 + (accuracy_of_sure - 0.5) * (2 * sure - 1)
    chosen = np.where(right, LABELS, 1 - LABELS)
    scores = np.empty((N, 2), np.float32)
    scores[np.arange(N), chosen], scores[np.arange(N), 1 - chosen] = sure, 1 - sure
    return scores


def case(scores: np.ndarray, share: float) -> Case:
    right = scores.argmax(axis=1) == LABELS
    return Case("iid", 0.05, Answers(scores.max(axis=1), right), np.full(N, share))


WHOLE, HURT = answers(1.0), answers(0.7)
BACKEND = np.eye(2, dtype=np.float32)[np.where(RNG.random(N) < 0.97, LABELS, 1 - LABELS)]


BUCKETS = (Bucket(0.0, WHOLE), Bucket(0.5, HURT))


def rows(*cases: Case, study=STUDY):
    return threshold_rows(study, LABELS, BACKEND, {"edge": BUCKETS}, {"edge": cases})


def test_thresholds_that_know_the_loss_keep_what_blind_ones_break() -> None:
    aware, blind = rows(case(HURT, 0.4))
    assert (aware.aware, blind.aware) == (True, False)
    assert aware.promised == blind.promised == 10
    assert aware.n == N // 2
    assert blind.drop_pt > 3
    assert aware.drop_pt < 1
    assert aware.offload_frac > blind.offload_frac
    assert aware.whole_accuracy == blind.whole_accuracy
    assert aware.drop_low_pt <= aware.drop_pt <= aware.drop_high_pt


def test_without_loss_both_are_the_same_and_nothing_drops() -> None:
    aware, blind = rows(case(WHOLE, 0.0))
    assert (aware.accuracy, aware.offload_frac) == (blind.accuracy, blind.offload_frac)
    assert aware.drop_pt == pytest.approx(0)


def test_beyond_the_last_bucket_everything_goes_to_the_backend() -> None:
    aware, blind = rows(case(HURT, 0.6))
    assert aware.offload_frac == 1.0
    assert blind.offload_frac < 1.0


def test_a_bucket_covers_its_edge_in_spite_of_rounding() -> None:
    aware, _ = rows(case(HURT, 0.5 + 1e-12))
    assert aware.offload_frac < 1.0


def test_what_was_never_promised_has_no_figures() -> None:
    study = msgspec.structs.replace(STUDY, targets=(0.999,))
    aware, _ = rows(case(HURT, 0.4), study=study)
    assert (aware.promised, aware.accuracy, aware.drop_pt) == (0, None, None)
