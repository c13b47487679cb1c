import json
import math

import pytest

from benchmarks.verdict import conclude, missed


def test_the_last_line_says_figures_targets_n_and_whether_they_are_met(capsys):
    assert conclude("dispatch", {"ratio": 1.25, "frac": 0.7}, {"ratio": {"max": 1.3}}, {"requests": 9}) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "bench": "dispatch",
        "figures": {"ratio": 1.25, "frac": 0.7},
        "targets": {"ratio": {"max": 1.3}},
        "n": {"requests": 9},
        "met": True,
    }


@pytest.mark.parametrize(
    ("value", "target"), [(1.31, {"max": 1.3}), (0.49, {"min": 0.5}), (math.nan, {"min": 0.0})]
)
def test_a_missed_target_shows_in_line_and_exit_code(capsys, value, target):
    assert conclude("b", {"x": value}, {"x": target}, {}) == 1
    assert json.loads(capsys.readouterr().out)["met"] is False


@pytest.mark.parametrize("targets", [{"y": {"max": 1}}, {"x": {}}, {"x": {"at_most": 1}}])
def test_a_target_that_could_not_fail_is_refused(targets):
    with pytest.raises(ValueError, match="every target"):
        missed({"x": 1.0}, targets)
