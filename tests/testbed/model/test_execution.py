from __future__ import annotations

import pytest

from testbed.model.execution import Step


@pytest.mark.parametrize(
    ("error", "cancelled", "ok"),
    [(None, None, True), ("link cut", None, False), (None, "before_start", False)],
)
def test_a_step_is_ok_if_it_gave_an_answer(error, cancelled, ok):
    step = Step(id=(9, 2), board="b", model="m", decided=1, answered=2, error=error, cancelled=cancelled)
    assert step.ok is ok
    assert step.action == 9
