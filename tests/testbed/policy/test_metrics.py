import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.policy.metrics import Metric, confidence, confidences, fit_temperature, tempered


def probabilities(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


rows = st.lists(st.lists(st.floats(-8, 8), min_size=4, max_size=4).map(np.array), min_size=1, max_size=6).map(
    lambda found: probabilities(np.array(found))
)


@given(rows, st.sampled_from(Metric), st.floats(0.3, 4.0))
def test_metrics_lie_between_zero_and_one_and_agree_one_by_one(p, metric, temperature) -> None:
    found = confidences(p, metric, temperature)
    assert found.shape == (len(p),)
    assert (found >= -1e-9).all()
    assert (found <= 1 + 1e-9).all()
    assert confidence(tuple(p[0]), metric, temperature) == pytest.approx(found[0], abs=1e-12)


@pytest.mark.parametrize("metric", Metric)
def test_a_sure_answer_counts_more_than_a_guess(metric) -> None:
    sure, guess = confidences(np.array([[0.97, 0.01, 0.01, 0.01], [0.25, 0.25, 0.25, 0.25]]), metric)
    assert sure > 0.9 or metric is Metric.ENTROPY
    assert sure > guess
    assert guess == pytest.approx(0.25 if metric is Metric.MAX_SOFTMAX else 0.0)


def test_known_values() -> None:
    p = np.array([[0.7, 0.2, 0.1]])
    assert confidences(p, Metric.MARGIN)[0] == pytest.approx(0.5)
    entropy = -(0.7 * np.log(0.7) + 0.2 * np.log(0.2) + 0.1 * np.log(0.1))
    assert confidences(p, Metric.ENTROPY)[0] == pytest.approx(1 - entropy / np.log(3))


def test_temperature_is_that_of_the_logits() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (50, 5))
    assert tempered(probabilities(logits), 2.5) == pytest.approx(probabilities(logits / 2.5))


def test_an_overconfident_network_is_cooled_by_what_it_was_heated() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (20_000, 4))
    honest = probabilities(logits)
    labels = np.array([rng.choice(4, p=row) for row in honest])
    assert fit_temperature(probabilities(logits * 1.8), labels) == pytest.approx(1.8, rel=0.05)
