import pytest

from testbed.contracts.policy import BOARDS, MODELS, PolicyContract, mixed_requests, settings_for
from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard
from testbed.contracts.toy_requests import stream
from testbed.errors import ConfigError
from testbed.model.action import Infer
from testbed.model.request import Outcome
from testbed.policy.clipper import BUDGET, Lane, clipper
from testbed.policy.runners import unknown_runner
from testbed.units import MS, S


class TestContract(PolicyContract):
    def build(self, settings):
        return clipper(settings)


def run(requests, boards=BOARDS, **options):
    lab = ToyLab(clipper(settings_for(boards, options=options)), boards, MODELS, requests)
    lab.run()
    return lab


def batches(lab):
    return [len(o.batch) for _, o in lab.orders if isinstance(o, Infer)]


def test_one_model_serves_every_need() -> None:
    lab = run(mixed_requests(60, 20 * MS))
    assert {o.model for _, o in lab.orders if isinstance(o, Infer)} == {"large"}
    assert lab.ends[6].outcome is Outcome.DEGRADED  # 0.999 is out of reach of the only model


def test_another_model_can_be_fixed() -> None:
    lab = run(mixed_requests(60, 20 * MS), model="small")
    assert {o.model for _, o in lab.orders if isinstance(o, Infer)} == {"small"}


def test_batches_grow_when_requests_crowd_and_stay_small_when_they_do_not() -> None:
    far = (ToyBoard(id="far", site="dc", resident=(("large", 1),)), *BOARDS[:2])
    crowded, calm = run(stream(600, 3 * MS, slack=S), far), run(stream(60, 100 * MS, slack=S), far)
    assert max(batches(crowded)) >= 4
    assert set(batches(calm)) == {1}


def test_additive_increase_multiplicative_decrease() -> None:
    lane = Lane(unknown_runner("m"), 0.9)
    objective = 100 * MS
    for _ in range(9):
        lane.saw(int(lane.cap), 10 * MS, objective)
    assert lane.cap == 10
    lane.saw(3, 10 * MS, objective)
    assert lane.cap == 10  # a batch that was not full says nothing of full ones
    lane.saw(10, round(BUDGET * objective) + 1, objective)
    assert lane.cap == pytest.approx(9)
    for _ in range(50):
        lane.saw(1, objective, objective)
    assert lane.cap == 1


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        clipper(settings_for(options={"bandit": True}))
