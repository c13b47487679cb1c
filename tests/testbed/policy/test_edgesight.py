import msgspec
import pytest

from testbed.contracts.policy import BOARDS, MODELS, PolicyContract, mixed_requests, settings_for
from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, answer, difficulty, truth
from testbed.contracts.toy_requests import stream
from testbed.errors import ConfigError
from testbed.model.action import Cancel, Infer, Load, Transport
from testbed.model.execution import NO_DATAGRAMS
from testbed.model.request import Outcome
from testbed.model.view import Health
from testbed.policy.edgesight import edgesight, oracle, random_offload
from testbed.policy.thresholds import PlanKind, ThresholdTable
from testbed.units import MS, S

EDGE = ("weak", "strong")
PAIR = BOARDS[1:]  # one frontend, one data centre


class TestContract(PolicyContract):
    def build(self, settings):
        return edgesight(settings)


class TestContractSpeculative(PolicyContract):
    def build(self, settings):
        return edgesight(settings)

    def settings(self):
        return settings_for(options={"mode": "speculative", "shadow_frac": 0.2})


class TestContractAuto(PolicyContract):
    def build(self, settings):
        return edgesight(settings)

    def settings(self):
        return settings_for(options={"mode": "auto"})


class TestContractRandomOffload(PolicyContract):
    def build(self, settings):
        return random_offload(settings)


class TestContractOracle(PolicyContract):
    def build(self, settings):
        return oracle(settings)

    def settings(self):
        return msgspec.structs.replace(settings_for(), truth=lambda request: truth(request.sample))


def run(requests, *, boards=BOARDS, settings=None, **more):
    lab = ToyLab(edgesight(settings or settings_for()), boards, MODELS, requests, **more)
    lab.run()
    return lab


def boards_asked(end):
    return [step.board for step in end.steps]


def sample_id(hardness):
    """An id, and so a sample, about this hard."""
    return min(range(1, 5000), key=lambda i: abs(difficulty(i) - hardness))


EASY, HARD = sample_id(0.05), sample_id(0.9)


def test_sure_answer_stands_and_unsure_one_is_escalated():
    easy = run(
        stream(1, S, first=EASY, min_accuracy=0.93, slack=S), boards=PAIR, settings=settings_for(PAIR)
    ).ends[EASY]
    hard = run(
        stream(1, S, first=HARD, min_accuracy=0.93, slack=S), boards=PAIR, settings=settings_for(PAIR)
    ).ends[HARD]
    assert (boards_asked(easy), easy.outcome) == (["strong"], Outcome.COMPLETED)
    assert (boards_asked(hard), hard.outcome) == (["strong", "far"], Outcome.COMPLETED)
    assert hard.answer.steps == (hard.steps[1].id,)
    assert hard.answer.label == truth(HARD)


@pytest.mark.parametrize(("above", "asked"), [(0.0, ["strong"]), (1e-9, ["strong", "far"])])
def test_exactly_sure_enough_is_sure_enough(above, asked):
    given = settings_for(PAIR)
    tau = answer(MODELS[1], 0, HARD).confidence + above
    rows = tuple(msgspec.structs.replace(r, plan=PlanKind.CASCADE, tau=tau) for r in given.thresholds.rows)
    given = msgspec.structs.replace(given, thresholds=ThresholdTable(rows=rows))
    lab = run(stream(1, S, first=HARD, min_accuracy=0.93, slack=S), boards=PAIR, settings=given)
    assert boards_asked(lab.ends[HARD]) == asked


def test_promise_holds_in_the_long_run():
    lab = run(mixed_requests(3000, 15 * MS, slack=S))
    by_target = {}
    for end in lab.ends.values():
        if end.answer is not None and end.outcome is Outcome.COMPLETED:
            right = end.answer.label == truth(end.request.sample)
            by_target.setdefault(end.request.min_accuracy, []).append(right)
    assert set(by_target) == {None, 0.75, 0.85, 0.9, 0.93}
    for target, right in by_target.items():
        assert sum(right) / len(right) >= (target or 0.0) - 0.02, target


def test_least_powerful_board_that_suffices_is_used_first():
    lab = run(stream(40, 200 * MS, min_accuracy=0.75, slack=S))
    assert {boards_asked(e)[0] for e in lab.ends.values()} == {"weak"}
    short_of_time = run(stream(40, 200 * MS, min_accuracy=0.75, slack=30 * MS))
    assert {boards_asked(e)[0] for e in short_of_time.ends.values()} == {"strong"}


@pytest.mark.parametrize("ahead", [0, 1])
def test_slow_line_never_collects_a_queue(ahead):
    policy = edgesight(settings_for(options={"max_ahead": ahead}))
    lab = ToyLab(policy, BOARDS, MODELS, stream(400, 10 * MS, min_accuracy=0.75, slack=S))
    most = []
    inner = lab._policy.decide

    def watch(now, view):
        most.append(view.boards["weak"].queued)
        return inner(now, view)

    lab._policy.decide = watch
    lab.run()
    assert max(most) == 1 + ahead
    served = sum(boards_asked(e) == ["weak"] for e in lab.ends.values())
    assert 25 < served < 100  # but it is kept at work for the 4 s that this takes


def test_unreachable_target_is_rejected_with_the_best_on_offer():
    end = run(stream(1, S, min_accuracy=0.999)).ends[1]
    assert end.outcome is Outcome.REJECTED
    assert 0.93 <= end.reject.best_accuracy < 0.96
    above_the_table = run(stream(1, S, min_accuracy=0.9999)).ends[1]
    assert above_the_table.outcome is Outcome.REJECTED


def test_unreachable_target_is_served_degraded_if_allowed():
    end = run(stream(1, S, min_accuracy=0.999, allow_degraded=True)).ends[1]
    assert (boards_asked(end), end.outcome) == (["far"], Outcome.DEGRADED)
    without_dc = run(
        stream(1, S, start=S, min_accuracy=0.999, allow_degraded=True), faults=[(0, "far", Health.DOWN)]
    )
    assert without_dc.ends[1].outcome is Outcome.DEGRADED
    assert without_dc.ends[1].steps[0].board in EDGE


@pytest.mark.parametrize(("allowed", "outcome"), [(True, Outcome.DEGRADED), (False, Outcome.REJECTED)])
def test_unsure_edge_without_a_data_centre(allowed, outcome):
    requests = stream(1, S, start=S, first=HARD, min_accuracy=0.93, slack=S, allow_degraded=allowed)
    end = run(requests, boards=PAIR, settings=settings_for(PAIR), faults=[(0, "far", Health.DOWN)]).ends[HARD]
    assert (boards_asked(end), end.outcome) == (["strong"], outcome)


@pytest.mark.parametrize(("allowed", "outcome"), [(True, Outcome.DEGRADED), (False, Outcome.FAILED)])
def test_data_centre_that_dies_during_an_escalation(allowed, outcome):
    requests = stream(1, S, first=HARD, min_accuracy=0.93, slack=S, allow_degraded=allowed)
    end = run(
        requests, boards=PAIR, settings=settings_for(PAIR), faults=[(30 * MS, "far", Health.DOWN)]
    ).ends[HARD]
    assert [(s.board, s.ok) for s in end.steps] == [("strong", True), ("far", False)]
    assert end.outcome is outcome


def test_escalation_that_would_be_late_is_answered_degraded_if_allowed():
    crowd = stream(60, 0, first=100, min_accuracy=0.95, slack=None, start=0)
    requests = [*crowd, *stream(1, S, first=HARD, min_accuracy=0.93, slack=90 * MS, allow_degraded=True)]
    end = run(sorted(requests, key=lambda r: r.arrival)).ends[HARD]
    assert end.answered <= end.request.deadline
    assert end.outcome is Outcome.DEGRADED


def test_failed_attempt_is_tried_once_on_another_board():
    lab = run(stream(1, S, first=EASY, min_accuracy=0.75, slack=S), faults=[(20 * MS, "weak", Health.DOWN)])
    assert [(s.board, s.ok) for s in lab.ends[EASY].steps] == [("weak", False), ("strong", True)]
    faults = [(20 * MS, "weak", Health.DOWN), (22 * MS, "strong", Health.DOWN)]
    lab = run(stream(1, S, first=EASY, min_accuracy=0.75, slack=S), faults=faults)
    assert lab.ends[EASY].outcome is Outcome.FAILED
    assert len(lab.ends[EASY].steps) == 2


def test_waits_for_a_board_when_all_are_down_and_expires_without():
    gone = [(0, board.id, Health.DOWN) for board in BOARDS]
    late = run(stream(1, S, start=10 * MS, min_accuracy=0.75), faults=gone)
    assert late.ends[1].outcome is Outcome.EXPIRED
    back = run(stream(1, S, start=10 * MS, min_accuracy=0.75), faults=[*gone, (50 * MS, "strong", Health.UP)])
    assert back.ends[1].outcome is Outcome.COMPLETED


def test_nobody_can_answer_in_time():
    end = run(stream(1, S, min_accuracy=0.75, slack=2 * MS)).ends[1]
    assert (end.outcome, end.steps) == (Outcome.REJECTED, ())
    assert "deadline" in end.reject.reason


def test_missing_model_is_loaded_once_and_then_used():
    bare = tuple(ToyBoard(**{**msgspec.structs.asdict(b), "resident": ()}) for b in BOARDS[:2])
    lab = run(stream(20, 200 * MS, min_accuracy=0.75, slack=S, start=S), boards=(*bare, BOARDS[2]))
    loads = [(o.board, o.model) for _, o in lab.orders if isinstance(o, Load)]
    assert sorted(loads) == [("strong", "small"), ("weak", "tiny")]
    assert {boards_asked(e)[0] for e in lab.ends.values()} == {"weak"}


def test_no_target_takes_whatever_the_edge_says():
    lab = run(stream(30, 100 * MS, slack=S))
    assert {tuple(boards_asked(e)) for e in lab.ends.values()} == {("weak",)}
    assert {e.outcome for e in lab.ends.values()} == {Outcome.COMPLETED}


def test_order_says_what_it_expects():
    lab = run(stream(1, S, first=EASY, min_accuracy=0.93, slack=S))
    [order] = [o for _, o in lab.orders if isinstance(o, Infer)]
    assert order.expected.finish == pytest.approx(lab.ends[EASY].answered, abs=MS)
    assert order.expected.accuracy >= 0.93
    assert order.expected.energy_j > 0


def test_refuses_to_work_without_calibration():
    for thresholds in (None, ThresholdTable(rows=())):
        with pytest.raises(ConfigError, match="calibrated"):
            edgesight(msgspec.structs.replace(settings_for(), thresholds=thresholds))


def test_unknown_option_names_the_right_one():
    with pytest.raises(ConfigError, match="max_offload"):
        edgesight(settings_for(options={"max_ofload": 0.1}))


def test_cascades_are_used_and_not_only_edge_or_data_centre():
    plans = [row.plan for row in settings_for().thresholds.rows]
    assert plans.count(PlanKind.CASCADE) >= 2


# --- speculation ---------------------------------------------------------------------------------------


def pair(requests, faults=(), **options):
    """One frontend and one data centre."""
    return run(requests, boards=PAIR, settings=settings_for(PAIR, options=options), faults=faults)


def test_speculative_asks_both_at_once_and_calls_off_the_loser():
    lab = pair(stream(1, S, first=EASY, min_accuracy=0.93, slack=S), mode="speculative")
    end = lab.ends[EASY]
    asked = [(t, o.board) for t, o in lab.orders if isinstance(o, Infer)]
    assert asked == [(asked[0][0], "strong"), (asked[0][0], "far")]
    assert [o.action for _, o in lab.orders if isinstance(o, Cancel)]
    assert sum(lab.cancels.values()) == 1
    assert end.outcome is Outcome.COMPLETED
    assert end.answered - end.request.arrival < 20 * MS  # the edge alone, though the data centre takes 40 ms


def test_unsure_and_speculative_takes_the_longer_of_the_two_and_not_their_sum():
    serial, both = (
        pair(stream(1, S, first=HARD, min_accuracy=0.93, slack=S), mode=mode).ends[HARD]
        for mode in ("serial", "speculative")
    )
    assert boards_asked(serial) == boards_asked(both) == ["strong", "far"]
    assert both.answer.steps == (both.steps[1].id,)
    saved = (serial.answered - serial.request.arrival) - (both.answered - both.request.arrival)
    assert saved >= 3 * MS  # what the frontend takes


def test_nothing_is_asked_twice_where_the_edge_is_always_sure_enough():
    lab = pair(stream(1, S, first=HARD, min_accuracy=0.75, slack=S), mode="speculative")
    assert len([o for _, o in lab.orders if isinstance(o, Infer)]) == 1


def test_the_loser_that_fails_first_harms_nobody():
    lab = pair(
        stream(1, S, first=HARD, min_accuracy=0.93, slack=S),
        mode="speculative",
        faults=[(1 * MS, "strong", Health.DOWN)],
    )
    assert lab.ends[HARD].outcome is Outcome.COMPLETED
    assert [s.board for s in lab.ends[HARD].steps if s.ok] == ["far"]


def test_auto_is_serial_with_time_to_spare_and_speculative_without():
    def asked(slack):
        lab = pair(stream(1, S, first=EASY, min_accuracy=0.93, slack=slack), mode="auto")
        return [o.board for _, o in lab.orders if isinstance(o, Infer)]

    assert asked(S) == ["strong"]
    assert asked(47 * MS) == ["strong", "far"]


# --- bounds, drift, and what it is compared with ---------------------------------------------------------


def test_energy_bound_keeps_dear_boards_out():
    def asked(joules):
        request = msgspec.structs.replace(
            stream(1, S, first=EASY, min_accuracy=0.75, slack=S)[0], max_energy_j=joules
        )
        return boards_asked(run([request]).ends[EASY])

    assert asked(1.0) == ["weak"]
    assert asked(0.02) == ["strong"]
    assert asked(1e-6) == ["far"]  # what the edge may not spend, the data centre does


def test_shadows_are_asked_after_the_answer_and_change_nothing_while_all_is_well():
    requests = stream(600, 50 * MS, min_accuracy=0.9, slack=S)
    plain, watched = pair(requests), pair(requests, shadow_frac=0.1)
    shadowed = [e for e in watched.ends.values() if len(e.steps) == 2 and e.answer.steps == (e.steps[0].id,)]
    assert 20 < len(shadowed) < 110
    for id_, end in watched.ends.items():
        assert end.answer.label == plain.ends[id_].answer.label
    assert all(e.answered - e.request.arrival < 20 * MS for e in shadowed)


def test_a_frontend_that_drifts_is_escalated_from_then_on():
    settings = settings_for(PAIR, options={"shadow_frac": 0.5})
    # As if calibration had been made on easier data: the low threshold was vouched for with near-perfect agreement.
    rows = tuple(
        msgspec.structs.replace(r, plan=PlanKind.CASCADE, tau=0.2, agreement=0.999)
        for r in settings.thresholds.rows
    )
    settings = msgspec.structs.replace(settings, thresholds=ThresholdTable(rows=rows))
    policy, notes = edgesight(settings), []
    lab = ToyLab(policy, PAIR, MODELS, stream(600, 60 * MS, min_accuracy=0.9, slack=S))
    decide = policy.decide

    def watch(now, view):
        decision = decide(now, view)
        notes.extend(decision.notes)
        return decision

    policy.decide = watch
    lab.run()
    assert len(notes) == 1
    assert "all is escalated" in notes[0]
    late = [e for e in lab.ends.values() if e.request.id > 500]
    assert all(boards_asked(e) == ["strong", "far"] for e in late)


def accuracy_and_offload(policy, requests):
    lab = ToyLab(policy, PAIR, MODELS, requests)
    lab.run()
    ends = [e for e in lab.ends.values() if e.answer is not None]
    right = sum(e.answer.label == truth(e.request.sample) for e in ends) / len(ends)
    return right, sum(boards_asked(e)[-1] == "far" for e in ends) / len(ends)


def test_confidence_beats_chance_at_the_same_share_and_never_the_truth():
    settings = msgspec.structs.replace(settings_for(PAIR), truth=lambda request: truth(request.sample))
    requests = stream(1500, 60 * MS, min_accuracy=0.93, slack=S)
    ours, ours_off = accuracy_and_offload(edgesight(settings), requests)
    chance, chance_off = accuracy_and_offload(random_offload(settings), requests)
    bound, bound_off = accuracy_and_offload(oracle(settings), requests)
    assert chance_off == pytest.approx(ours_off, abs=0.04)
    assert ours > chance + 0.01
    assert bound >= ours - 1e-9
    assert 0 < bound_off < 0.2  # what the frontend gets wrong


def test_frontends_can_be_limited_and_the_others_are_not_kept():
    lab = run(
        stream(20, 200 * MS, min_accuracy=0.75, slack=S),
        settings=settings_for(options={"frontends": ["small"]}),
    )
    assert {boards_asked(e)[0] for e in lab.ends.values()} == {"strong"}
    policy = edgesight(settings_for(options={"frontends": ["small"]}))
    assert {h.model for h in policy.plan(None, None).hosted} == {"small", "large"}
    with pytest.raises(ConfigError, match="'small'"):
        edgesight(settings_for(options={"frontends": ["smal"]}))


class LossyLab(ToyLab):
    """Lossy orders meet what the test says: fields of a step to be changed."""

    met: dict = {}

    def __init__(self, *given, **more):
        self.asked = []
        super().__init__(*given, **more)

    def _infer(self, order):
        self.asked.append((order.board, order.transport))
        super()._infer(order)

    def _tell(self, request, step, *, still):
        if (step.board, Transport.LOSSY) in self.asked[-1:]:
            step = msgspec.structs.replace(step, **self.met)
        super()._tell(request, step, still=still)


def lossy_run(requests, met, *, boards=PAIR, bucket=0.1):
    given = settings_for(boards, options={"transport": "lossy"})
    rows = given.thresholds.rows
    more = tuple(msgspec.structs.replace(r, lost_frac=bucket, tau=0.999) for r in rows)
    given = msgspec.structs.replace(given, thresholds=ThresholdTable(rows=rows + more))
    lab = LossyLab(edgesight(given), boards, MODELS, requests)
    lab.met = met
    lab.run()
    return lab


ONE_EASY = {"first": EASY, "min_accuracy": 0.93, "slack": S}


def test_lossy_orders_go_to_the_edge_only_and_stand_without_loss():
    lab = lossy_run(stream(1, S, **ONE_EASY), {})
    assert lab.asked == [("strong", Transport.LOSSY)]
    assert lab.ends[EASY].outcome is Outcome.COMPLETED


def test_this_requests_own_loss_chooses_the_threshold():
    assert 0.9 < answer(MODELS[1], 0, EASY).confidence < 0.999
    for lost in (0.05, 0.5):  # a stricter row; no row at all
        lab = lossy_run(stream(1, S, **ONE_EASY), {"lost_frac": lost})
        assert lab.asked == [("strong", Transport.LOSSY), ("far", Transport.RELIABLE)]
        assert lab.ends[EASY].answer.steps == (lab.ends[EASY].steps[1].id,)


def test_above_the_loss_limit_the_data_centre_is_asked_and_no_other_edge_board():
    met = {"error": "lost: 0.4 of the picture was lost", "lost_frac": 0.4, "label": -1}
    lab = lossy_run(stream(1, S, first=EASY, min_accuracy=0.75, slack=S), met, boards=BOARDS)
    assert lab.asked == [("weak", Transport.LOSSY), ("far", Transport.RELIABLE)]
    assert lab.ends[EASY].outcome is Outcome.COMPLETED


def test_a_board_without_a_channel_is_reached_reliably():
    met = {"error": f"{NO_DATAGRAMS}: not installed: Pillow", "label": -1}
    lab = lossy_run(stream(3, S, **ONE_EASY), met)
    first, second, *rest = lab.asked
    assert (first, second) == (("strong", Transport.LOSSY), ("strong", Transport.RELIABLE))
    assert all(transport is Transport.RELIABLE for _, transport in rest)
    assert {end.outcome for end in lab.ends.values()} == {Outcome.COMPLETED}


# --- what the data centre alone does not reach -------------------------------------------------------------


def short_of_target(**options):
    """The pair, whose cascade keeps its promise while the backend by itself falls short of it."""
    given = settings_for(PAIR, options=options)
    rows = tuple(msgspec.structs.replace(r, backend_accuracy=0.9) for r in given.thresholds.rows)
    return msgspec.structs.replace(given, thresholds=ThresholdTable(rows=rows))


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("mode", ["serial", "speculative", "auto"])
def test_only_who_allows_it_gets_an_answer_that_the_edge_never_saw(mode, allowed):
    requests = [
        msgspec.structs.replace(request, allow_degraded=allowed)
        for request in stream(1, S, first=HARD, min_accuracy=0.93, slack=60 * MS)
    ]
    lab = run(
        requests, boards=PAIR, settings=short_of_target(mode=mode), faults=[(1 * MS, "strong", Health.DOWN)]
    )
    assert (lab.ends[HARD].outcome is Outcome.DEGRADED) == allowed
    assert lab.ends[HARD].outcome is not Outcome.COMPLETED


@pytest.mark.parametrize("allowed", [False, True])
def test_a_picture_that_lost_too_much_is_rejected_where_the_data_centre_falls_short(allowed):
    given = short_of_target(transport="lossy")
    met = {"error": "lost: 0.4 of the picture was lost", "lost_frac": 0.4, "label": -1}
    requests = [
        msgspec.structs.replace(request, allow_degraded=allowed) for request in stream(1, S, **ONE_EASY)
    ]
    lab = LossyLab(edgesight(given), PAIR, MODELS, requests)
    lab.met = met
    lab.run()
    assert lab.ends[EASY].outcome is (Outcome.DEGRADED if allowed else Outcome.REJECTED)
