import struct

import pytest

from drivers.agent.runtimes.echo import EchoRuntime
from testbed.wire.messages import CANCELLED_EXIT
from tests.drivers.agent.conftest import PICTURE


def run(runtime, cancelled=frozenset(), items=2, stop_after_ns=(0, 0)):
    return runtime.run("m", 0, (PICTURE,), ((),) * items, stop_after_ns, (-1,) * items, lambda: cancelled)


def test_it_gives_back_what_it_got():
    runtime = EchoRuntime()
    runtime.load("m", (), {"exits": 3}, 1)
    assert run(runtime)[:2] == ([2, 2], (PICTURE,))
    assert run(runtime, frozenset({1})).exits == [2, CANCELLED_EXIT]
    runtime.unload("m")


def test_items_leave_when_their_time_is_over():
    runtime = EchoRuntime()
    runtime.load("m", (), {"exits": 5, "sleep_ns": 4_000_000}, 1)
    assert run(runtime, stop_after_ns=(1, 10**12)).exits == [0, 4]
    assert run(runtime, stop_after_ns=(1, 0)).exits == [0, 4]  # 0 is no limit


def test_it_fails_on_order():
    runtime = EchoRuntime()
    runtime.load("m", (), {"fail": "ordered"}, 1)
    with pytest.raises(RuntimeError, match="ordered"):
        run(runtime)


def test_it_answers_classes_before_what_it_got():
    runtime = EchoRuntime()
    runtime.load("m", (), {"classes": 4}, 1)
    scores, echoed = run(runtime).outputs
    assert (scores.dtype, scores.shape, echoed) == ("float32", (2, 4), PICTURE)
    assert struct.unpack("<8f", scores.data) == (0.25,) * 8
