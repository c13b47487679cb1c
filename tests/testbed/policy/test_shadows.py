from types import SimpleNamespace

from testbed.model.execution import Step
from testbed.model.request import Request
from testbed.policy.guard import AT_LEAST
from testbed.policy.shadows import Shadows
from testbed.policy.thresholds import ThresholdTable
from tests.testbed.policy.test_thresholds import row

CALIBRATED = row(target=0.8, tau=0.5, agreement=0.95)


def shadows(frac=0.2):
    return Shadows(ThresholdTable(rows=(CALIBRATED,)), frozenset({"dc"}), frac, seed=1)


def request(number):
    return Request(id=number, task="t", sample=0, arrival=0)


def step(board, label):
    return Step(id=(1, 0), board=board, model="m", decided=0, answered=1, label=label)


def ended(number, *labels):
    boards = ("edge", "dc")
    steps = tuple(step(board, label) for board, label in zip(boards, labels, strict=False))
    return SimpleNamespace(request=request(number), steps=steps)


def view(*ends):
    return SimpleNamespace(finished=list(ends), finished_count=len(ends))


def test_a_share_of_the_requests_is_wanted_and_always_the_same() -> None:
    found = shadows()
    wanted = [i for i in range(2000) if found.wanted(request(i), CALIBRATED)]
    assert 300 < len(wanted) < 500
    assert wanted == [i for i in range(2000) if shadows().wanted(request(i), CALIBRATED)]
    assert not any(found.wanted(request(i), row(agreement=None)) for i in range(100))
    assert not shadows(0.0).cast


def test_what_disagrees_too_often_raises_the_threshold_and_is_said() -> None:
    found = shadows()
    ends = []
    for i in range(AT_LEAST):
        found.begin(request(i), CALIBRATED)
        assert i in found
        ends.append(ended(i, 1, 2))
    [note] = found.hear(view(*ends))
    assert "threshold raised" in note
    assert found.row(CALIBRATED).tau is None
    assert 0 not in found


def test_only_what_ended_since_counts_and_only_with_both_answers() -> None:
    found = shadows()
    stranger = ended(7, 1, 2)
    assert found.hear(view(stranger)) == ()
    for i in range(AT_LEAST):
        found.begin(request(i), CALIBRATED)
    assert found.hear(view(stranger, *(ended(i, 1) for i in range(AT_LEAST)))) == ()
    assert found.row(CALIBRATED) is CALIBRATED
