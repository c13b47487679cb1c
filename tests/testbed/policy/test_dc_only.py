import pytest

from testbed.contracts.policy import BOARDS, MODELS, PolicyContract, mixed_requests, settings_for
from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_requests import stream
from testbed.errors import ConfigError
from testbed.model.profile import ProfileBook
from testbed.model.request import Outcome
from testbed.model.view import Health
from testbed.policy.dc_only import dc_only
from testbed.units import MS, S


class TestContract(PolicyContract):
    def build(self, settings):
        return dc_only(settings)


def run(requests, settings=None, **more):
    lab = ToyLab(dc_only(settings or settings_for()), BOARDS, MODELS, requests, **more)
    lab.run()
    return lab


def test_everything_goes_to_the_data_centre_and_uses_its_lanes():
    lab = run(mixed_requests(120, MS))
    orders = [run.order for run in lab.machines["far"].runs]
    assert len(orders) == 120
    assert {order.instance for order in orders} == {0, 1}


def test_target_above_the_backend_is_degraded():
    assert run(stream(1, S, min_accuracy=0.93)).ends[1].outcome is Outcome.COMPLETED
    assert run(stream(1, S, min_accuracy=0.999)).ends[1].outcome is Outcome.DEGRADED


def test_works_without_a_profile():
    import msgspec

    bare = msgspec.structs.replace(settings_for(), profiles=ProfileBook(rows={}))
    assert run(stream(3, 10 * MS), bare).ends[3].outcome is Outcome.COMPLETED


def test_one_data_centre_that_dies_fails_the_request():
    lab = run(stream(1, S), faults=[(10 * MS, "far", Health.DOWN)])
    assert lab.ends[1].outcome is Outcome.FAILED


def test_unknown_option_is_refused():
    with pytest.raises(ConfigError, match="unknown key"):
        dc_only(settings_for(options={"speed": 2}))
