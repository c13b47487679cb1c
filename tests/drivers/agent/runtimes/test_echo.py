import pytest

from drivers.agent.runtimes.echo import EchoRuntime
from testbed.wire.messages import CANCELLED_EXIT
from tests.drivers.agent.conftest import PICTURE


def run(runtime, cancelled=frozenset(), items=2):
    return runtime.run("m", 0, (PICTURE,), ((),) * items, (-1,) * items, lambda: cancelled, 0)


def test_it_gives_back_what_it_got():
    runtime = EchoRuntime()
    runtime.load("m", (), {"exits": 3}, 1)
    assert run(runtime)[:2] == ([2, 2], (PICTURE,))
    assert run(runtime, frozenset({1})).exits == [2, CANCELLED_EXIT]
    runtime.unload("m")


def test_it_fails_on_order():
    runtime = EchoRuntime()
    runtime.load("m", (), {"fail": "ordered"}, 1)
    with pytest.raises(RuntimeError, match="ordered"):
        run(runtime)
