import pytest

from testbed.contracts.policy import BOARDS, MODELS, PolicyContract, mixed_requests, settings_for
from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_requests import stream
from testbed.errors import ConfigError
from testbed.model.action import Infer
from testbed.model.request import Outcome
from testbed.model.view import Health
from testbed.policy.edge_only import edge_only
from testbed.units import MS, S


class TestContract(PolicyContract):
    def build(self, settings):
        return edge_only(settings)


def run(requests, **more):
    lab = ToyLab(edge_only(settings_for()), BOARDS, MODELS, requests, **more)
    lab.run()
    return lab


def test_never_leaves_the_edge():
    lab = run(mixed_requests(120, 12 * MS))
    assert {step.board for end in lab.ends.values() for step in end.steps} == {"weak", "strong"}


def test_target_decides_model_and_degraded():
    low = run(stream(1, S, min_accuracy=0.75)).ends[1]
    high = run(stream(1, S, min_accuracy=0.88)).ends[1]
    out_of_reach = run(stream(1, S, min_accuracy=0.93)).ends[1]
    assert [e.steps[0].model for e in (low, high, out_of_reach)] == ["tiny", "small", "small"]
    assert [e.outcome for e in (low, high, out_of_reach)] == [
        Outcome.COMPLETED,
        Outcome.COMPLETED,
        Outcome.DEGRADED,
    ]


def test_failed_attempt_goes_to_another_board_once():
    lab = run(stream(1, S, min_accuracy=0.75), faults=[(10 * MS, "weak", Health.DOWN)])
    assert [(s.board, s.ok) for s in lab.ends[1].steps] == [("weak", False), ("strong", True)]
    gone = [(10 * MS, "weak", Health.DOWN), (12 * MS, "strong", Health.DOWN)]
    lab = run(stream(1, S, min_accuracy=0.75), faults=gone)
    assert lab.ends[1].outcome is Outcome.FAILED
    assert len(lab.ends[1].steps) == 2


def test_unknown_option_is_refused():
    with pytest.raises(ConfigError, match="max_ahead"):
        edge_only(settings_for(options={"max_ahed": 2}))


def test_models_can_be_limited():
    lab = ToyLab(
        edge_only(settings_for(options={"models": ["small"]})), BOARDS, MODELS, mixed_requests(30, 20 * MS)
    )
    lab.run()
    assert {o.model for _, o in lab.orders if isinstance(o, Infer)} == {"small"}
