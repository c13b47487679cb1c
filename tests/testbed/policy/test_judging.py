import msgspec
import pytest

from testbed.contracts.policy import settings_for
from testbed.contracts.toy_requests import stream
from testbed.errors import ConfigError
from testbed.model.execution import Step
from testbed.policy.judging import ByChance, ByTruth, by_confidence, coin
from tests.testbed.policy.test_thresholds import row

REQUESTS = stream(4000, 1)


def step(label=3, confidence=0.7):
    return Step(
        id=(1, 0), board="b", model="small", decided=0, answered=1, label=label, confidence=confidence
    )


def test_confidence_is_held_against_the_threshold() -> None:
    assert by_confidence(REQUESTS[0], row(tau=0.7), step())
    assert not by_confidence(REQUESTS[0], row(tau=0.71), step())


def test_chance_lets_as_many_stand_as_were_calibrated() -> None:
    judge = ByChance(seed=1)
    stand = [judge(r, row(p_off=0.2), step(confidence=0.0)) for r in REQUESTS]
    assert sum(stand) / len(stand) == pytest.approx(0.8, abs=0.03)
    assert stand == [judge(r, row(p_off=0.2), step()) for r in REQUESTS]
    assert stand != [ByChance(seed=2)(r, row(p_off=0.2), step()) for r in REQUESTS]


def test_coins_for_different_purposes_are_independent() -> None:
    both = sum(coin(1, "a", r) < 0.5 and coin(1, "b", r) < 0.5 for r in REQUESTS)
    assert both / len(REQUESTS) == pytest.approx(0.25, abs=0.03)


def test_truth_needs_to_be_known() -> None:
    settings = settings_for()
    with pytest.raises(ConfigError, match="labelled"):
        ByTruth(settings)
    judge = ByTruth(msgspec.structs.replace(settings, truth=lambda request: 3))
    assert judge(REQUESTS[0], row(tau=None), step(label=3))
    assert not judge(REQUESTS[0], row(tau=0.0), step(label=4))
