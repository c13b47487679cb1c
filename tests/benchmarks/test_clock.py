import numpy as np
import pytest

from benchmarks.clock import TARGETS, figures
from benchmarks.clock_truth import Judged


def board(error, bound, loose=False, **counts):
    counts = {"steps": 2, "missed_steps": 0, "reboots": 1, "missed_reboots": 0, "false_alarms": 0, **counts}
    error, bound = np.asarray(error), np.asarray(bound)
    return Judged(
        error=error,
        bound=bound,
        rtt=np.full(error.size, 1_000_000),
        open=np.full(error.size, loose),
        **counts,
    )


def test_shares_count_every_conversion_and_medians_those_away_from_events():
    ssh = [board([100_000] * 3, [400_000] * 3), board([5, 9_000_000], [8_000_000] * 2, loose=True)]
    serial = [board([200_000], [500_000])]
    found = figures({"ssh": ssh, "serial": serial})
    assert found["within_bound_frac_ssh"] == pytest.approx(0.8)
    assert found["within_bound_frac_around_events_ssh"] == pytest.approx(0.5)
    assert found["bound_us_ssh"] == 400
    assert found["bound_over_min_rtt_ssh"] == pytest.approx(0.4)
    assert found["error_over_bound_serial"] == pytest.approx(0.4)
    assert found["within_bound_frac_serial"] == 1
    assert set(TARGETS) <= set(found)


def test_what_could_not_be_converted_is_outside_of_its_bound():
    found = figures({"ssh": [board([0, 10], [-1, 20])], "serial": [board([0], [1])]})
    assert found["within_bound_frac_ssh"] == 0.5
    assert found["bound_us_ssh"] == 0.02


def test_a_missed_reboot_counts_as_a_missed_step():
    found = figures(
        {
            "ssh": [board([0], [1], missed_reboots=1)],
            "serial": [board([0], [1], missed_steps=2, false_alarms=3)],
        }
    )
    assert found["missed_steps"] == 3
    assert found["false_alarms"] == 3
