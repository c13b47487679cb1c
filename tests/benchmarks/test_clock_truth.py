"""The judge of the clock benchmark must find what is wrong, so it is shown clocks and events that are."""

import msgspec
import numpy as np
import pytest

from benchmarks.clock_truth import STEP_S, Epoch, Pattern, draw_plan, judge
from testbed.model.record import ClockProbe
from testbed.units import MS, US, S

START = 1000 * S


def probe(at, offset, boot=1, rtt=200 * US):
    board = at + rtt // 2 + offset
    return ClockProbe(board="b", boot=boot, t0=at, t1=board, t2=board, t3=at + rtt)


def burst(at, offset, boot=1):
    return [probe(at + i * 4 * MS, offset, boot) for i in range(4)]


def life(*events, offset=7 * S):
    """Probes every two seconds, with an event in the middle of each gap that names one."""
    probes, epochs, boot, begun, last = burst(START, offset), [], 1, START, ""
    for place, (event, step) in enumerate(events, 1):
        end = START + (2 * place - 1) * S
        if event:
            epochs.append(Epoch(start=begun, end=end, offset=offset, boot=boot, event=last))
            begun, last, offset, boot = end + MS, event, offset + step, boot + (event == "reboot")
        probes += burst(START + 2 * place * S, offset, boot)
    epochs.append(Epoch(start=begun, end=probes[-1].t3 + S, offset=offset, boot=boot, event=last))
    return probes, epochs


def judged(probes, epochs):
    return judge(probes, epochs, 0, np.random.default_rng(1), 400)


QUIET = ("", 0)


def test_what_is_aligned_and_found_is_said_to_be():
    events = [QUIET, ("step", 9 * MS), QUIET, ("reboot", -900 * S), ("step", -2 * S)]
    found = judged(*life(*events))
    assert (found.error <= found.bound).all()
    assert (found.steps, found.missed_steps) == (2, 0)
    assert (found.reboots, found.missed_reboots) == (1, 0)
    assert found.false_alarms == 0
    assert found.rtt.tolist() == [200 * US] * found.rtt.size
    assert 0.4 < found.open.mean() < 0.7  # three of five gaps, and half a second on either end


def test_a_clock_that_is_not_what_its_probes_say_is_out_of_bounds():
    probes, epochs = life(QUIET, QUIET)
    wrong = [msgspec.structs.replace(e, offset=e.offset + MS) for e in epochs]
    found = judged(probes, wrong)
    assert (found.error > found.bound).all()


def test_a_step_and_a_reboot_that_left_no_trace_are_missed():
    probes, epochs = life(("step", 0), ("reboot", 0))
    silent = [msgspec.structs.replace(p, boot=1) for p in probes]
    found = judged(silent, epochs)
    assert (found.missed_steps, found.missed_reboots) == (1, 1)
    assert (
        (found.bound[found.bound < 0]).size > 0
    )  # nothing converts stamps of the boot that was never probed


def test_a_cut_and_a_connection_that_nobody_ordered_are_false_alarms():
    probes, epochs = life(QUIET, ("step", 30 * MS), QUIET, ("reboot", 0), QUIET)
    quiet = [msgspec.structs.replace(e, event="") for e in epochs]
    assert judged(probes, quiet).false_alarms == 2
    assert judged(probes, epochs).false_alarms == 0


def test_two_steps_that_show_as_one_are_one_too_few():
    probes, epochs = life(("step", 30 * MS), ("step", 30 * MS))
    without = [p for p in probes if not START + S < p.t0 < START + 3 * S]
    found = judged(without, epochs)
    assert (found.steps, found.missed_steps, found.false_alarms) == (2, 1, 0)


def test_a_cut_elsewhere_does_not_count_as_the_step():
    probes, epochs = life(QUIET, ("step", 30 * MS), QUIET)
    late = [msgspec.structs.replace(e, start=e.start + 2 * S) if e.event else e for e in epochs]
    found = judged(probes, late)
    assert (found.missed_steps, found.false_alarms) == (1, 1)


@pytest.mark.parametrize("seed", range(5))
def test_plans_hold_steps_of_both_signs_and_one_reboot_between_probes(seed):
    plan = draw_plan(np.random.default_rng(seed), Pattern(gaps=60, every_s=1.0, eventful=True))
    sizes = [gap.step_s for gap in plan.gaps if gap.event == "step"]
    assert min(sizes) < 0 < max(sizes)
    assert all(STEP_S[0] <= abs(size) <= STEP_S[1] for size in sizes)
    assert [gap.event for gap in plan.gaps[20:40]].count("reboot") == 1
    assert [gap.event for gap in plan.gaps].count("reboot") == 1
    assert all(gap.before_s > 0 < gap.after_s for gap in plan.gaps)


def test_a_calm_board_is_left_alone():
    plan = draw_plan(np.random.default_rng(1), Pattern(gaps=60, every_s=1.0, eventful=False))
    assert {gap.event for gap in plan.gaps} == {""}
