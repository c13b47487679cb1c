import random

from testbed.policy.guard import AT_LEAST, DriftGuard
from testbed.policy.thresholds import ThresholdTable
from tests.testbed.policy.test_thresholds import row

LOW = row(target=0.8, tau=0.5, agreement=0.95)
HIGH = row(target=0.9, tau=0.7, agreement=0.97)
OTHER = row(target=0.9, tau=0.6, agreement=0.9, frontend="tiny")


def guard():
    return DriftGuard(ThresholdTable(rows=(LOW, HIGH, OTHER)))


def feed(found, share, n, seed=1, given=LOW):
    draw = random.Random(seed)
    return [note for _ in range(n) if (note := found.saw(given, draw.random() < share))]


def test_agreement_as_calibrated_changes_nothing() -> None:
    found = guard()
    assert feed(found, 0.95, 2000) == []
    assert found.row(LOW) is LOW


def test_a_fall_raises_the_threshold_step_by_step_and_at_last_escalates_all() -> None:
    found = guard()
    first = feed(found, 0.6, AT_LEAST + 20)
    assert len(first) == 1
    assert "raised from 0.5000 to 0.7000" in first[0]
    assert found.row(LOW) == HIGH
    assert found.row(HIGH) is HIGH
    second = feed(found, 0.6, 100)
    assert len(second) == 1
    assert found.row(LOW).tau is None
    assert feed(found, 0.0, 500) == []


def test_nothing_is_concluded_from_a_few() -> None:
    found = guard()
    assert feed(found, 0.0, AT_LEAST - 1) == []


def test_perfect_agreement_at_calibration_forgives_a_slip() -> None:
    perfect = row(agreement=1.0)
    found = DriftGuard(ThresholdTable(rows=(perfect,)))
    assert [found.saw(perfect, i != 5) for i in range(200)] == [""] * 200


def test_old_shadows_are_forgotten() -> None:
    found = guard()
    feed(found, 1.0, 1000)
    assert feed(found, 0.5, 100)
