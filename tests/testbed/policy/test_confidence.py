import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import ConfigError
from testbed.policy.confidence import calibrate, choose, curve, lower_bound
from testbed.policy.thresholds import PlanKind, ThresholdTable, merge

TASK = "images"
NOTHING = np.empty((0, 10))

# Few distinct confidences, so that equals are common.
samples = st.lists(
    st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.5000001, 0.8, 1.0]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=40,
)


def columns(rows):
    confidence, edge, backend = zip(*rows, strict=True)
    return np.array(confidence), np.array(edge), np.array(backend)


def brute_force(rows, target, z):
    """Try every threshold there is, literally, and keep the one that answers most at the edge."""
    n = len(rows)
    best = None
    for tau in sorted({c for c, _, _ in rows} | {math.inf}):
        stays = [c >= tau for c, _, _ in rows]
        right = sum(e if stay else b for (_, e, b), stay in zip(rows, stays, strict=True))
        acc = right / n
        if acc - z * math.sqrt(acc * (1 - acc) / n) >= target and (best is None or sum(stays) > best):
            best = sum(stays)
    return best


@given(samples, st.floats(0.05, 1.0), st.sampled_from([0.0, 1.645]))
@settings(max_examples=300)
def test_largest_feasible_k_is_that_of_brute_force(rows, target, z):
    plan, k = choose(curve(*columns(rows), z), target)
    expected = brute_force(rows, target, z)
    if expected is None:
        assert plan in (PlanKind.DC_ONLY, PlanKind.INFEASIBLE)
        backend = sum(b for _, _, b in rows) / len(rows)
        assert (plan is PlanKind.DC_ONLY) == (backend >= target)
    else:
        assert k == expected
        n = len(rows)
        assert plan is (PlanKind.EDGE_ONLY if k == n else PlanKind.CASCADE if k else PlanKind.DC_ONLY)


@given(samples, st.floats(0.05, 1.0))
def test_threshold_at_work_keeps_exactly_k_at_the_edge(rows, target):
    found = curve(*columns(rows))
    plan, k = choose(found, target)
    if plan is PlanKind.CASCADE:
        tau = found.confidence[k - 1]
        assert int(np.sum(columns(rows)[0] >= tau)) == k


@given(samples)
def test_order_of_samples_does_not_matter(rows):
    one, other = curve(*columns(rows)), curve(*columns(rows[::-1]))
    where = one.allowed
    assert (where == other.allowed).all()
    np.testing.assert_allclose(one.accuracy[where], other.accuracy[where])


def test_not_the_first_crossing_but_the_last():
    # acc(k) dips in the middle: the first few and all together are fine, in between it is not.
    confidence = np.linspace(1.0, 0.1, 10)
    edge = np.array([1, 0, 0, 0, 1, 1, 1, 1, 1, 1], dtype=bool)
    backend = np.array([1, 1, 1, 1, 0, 0, 0, 1, 1, 1], dtype=bool)
    found = curve(confidence, edge, backend, z=0.0)
    assert found.accuracy[3] < 0.7 <= found.accuracy[1]
    assert choose(found, 0.7) == (PlanKind.EDGE_ONLY, 10)


def test_equals_are_never_cut_apart():
    confidence = np.array([0.9, 0.5, 0.5, 0.5])
    edge, backend = np.array([True, True, False, False]), np.array([True, True, True, True])
    assert curve(confidence, edge, backend).allowed.tolist() == [True, True, False, False, True]
    assert choose(curve(confidence, edge, backend, z=0.0), 0.9) == (PlanKind.CASCADE, 1)


def test_all_equally_confident_leaves_all_or_nothing():
    n = 100
    edge, backend = np.arange(n) < 60, np.arange(n) < 95
    found = curve(np.full(n, 0.7), edge, backend)
    assert choose(found, 0.5) == (PlanKind.EDGE_ONLY, n)
    assert choose(found, 0.9) == (PlanKind.DC_ONLY, 0)
    assert choose(found, 0.99)[0] is PlanKind.INFEASIBLE


def test_lower_bound_is_below_and_tightens_with_n():
    acc = np.array([0.5, 0.9])
    assert (lower_bound(acc, 100) < lower_bound(acc, 10_000)).all()
    assert lower_bound(np.array([0.9]), 2000)[0] == pytest.approx(0.9 - 1.645 * math.sqrt(0.09 / 2000))
    assert (lower_bound(acc, 100, z=0.0) == acc).all()


def population(rng, n):
    """A frontend that knows when it is weak, and a better backend."""
    hard = rng.random(n)
    confidence = np.clip(1.0 - 0.8 * hard + rng.normal(0, 0.05, n), 0.1, 1.0)
    return confidence, rng.random(n) > 0.55 * hard**1.5, rng.random(n) > 0.15 * hard


def miss_rate(z, target=0.85, n=1500, splits=200):
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(splits):
        found = curve(*population(rng, n), z)
        plan, k = choose(found, target)
        assert plan is PlanKind.CASCADE
        confidence, edge, backend = population(rng, 20_000)
        missed += np.where(confidence >= found.confidence[k - 1], edge, backend).mean() < target
    return missed / splits


def test_margin_is_what_keeps_the_promise():
    # The naive rule misses about every second target; one-sided 95 % misses a few in a hundred.
    assert 0.35 < miss_rate(0.0) < 0.7
    assert miss_rate(1.645) < 0.10


def scores(right, confidence, labels):
    """Probabilities of shape (n, 10) that say what they are told to say."""
    n = len(labels)
    made = np.tile(((1 - confidence) / 9)[:, None], (1, 10))
    said = np.where(right, labels, (labels + 1) % 10)
    made[np.arange(n), said] = confidence
    return made


@pytest.fixture
def world():
    rng = np.random.default_rng(11)
    n = 2000
    labels = rng.integers(0, 10, n)
    confidence, edge, backend = population(rng, n)
    confidence = np.clip(confidence, 0.2, 0.999)
    early = np.clip(confidence - 0.15, 0.11, 1.0)
    return {
        "labels": labels,
        "plain": [scores(edge, confidence, labels)],
        "two-exit": [scores(edge & (rng.random(n) > 0.1), early, labels), scores(edge, confidence, labels)],
        "backend": scores(backend, np.full(n, 0.9), labels),
    }


def table(world, **more):
    given = {
        "labels": world["labels"],
        "frontends": {"plain": world["plain"], "two-exit": world["two-exit"]},
        "backend": "big",
        "backend_scores": world["backend"],
        "targets": [0.92, 0.6, 0.85, 0.85, 0.99],
        "sha256": {"plain": ("aa",), "big": ("bb",)},
        "dataset_sha256": "cc",
    }
    return calibrate(TASK, **{**given, **more})


def test_one_row_per_frontend_and_target(world):
    made = table(world)
    assert [(r.frontend, r.target) for r in made.rows] == [
        (f, t) for f in ("plain", "two-exit") for t in (0.6, 0.85, 0.92, 0.99)
    ]
    plain = {r.target: r for r in made.rows if r.frontend == "plain"}
    assert [plain[t].plan for t in (0.6, 0.85, 0.99)] == [
        PlanKind.EDGE_ONLY,
        PlanKind.CASCADE,
        PlanKind.INFEASIBLE,
    ]
    assert (plain[0.6].tau, plain[0.6].p_off) == (0.0, 0.0)
    assert plain[0.99].tau is None
    row = plain[0.85]
    assert row.acc_hat > row.lcb >= 0.85
    assert row.margin
    assert (row.n, row.frontend_sha256, row.backend_sha256, row.dataset_sha256) == (
        2000,
        ("aa",),
        ("bb",),
        "cc",
    )


def test_threshold_of_a_row_sends_away_what_the_row_says(world):
    sure = world["plain"][0].max(axis=1)
    rows = [r for r in table(world).rows if r.plan is PlanKind.CASCADE and r.frontend == "plain"]
    assert rows
    for row in rows:
        assert np.mean(sure < row.tau) == pytest.approx(row.p_off)


def test_without_margin_is_said(world):
    accuracy = float((world["backend"].argmax(axis=1) == world["labels"]).mean())
    [row] = table(world, targets=[accuracy], frontends={"plain": world["plain"]}).rows
    assert row.backend_accuracy == pytest.approx(accuracy)
    if row.plan is PlanKind.DC_ONLY:
        assert not row.margin
    else:
        assert row.plan is PlanKind.CASCADE


def test_infeasible_row_names_the_best_on_offer(world):
    made = table(world)
    best = made.best(TASK)
    assert best == max(r.lcb for r in made.rows)
    assert 0.85 < best < 0.99
    assert made.best("other task") is None


def test_early_exits_are_chosen_where_they_cost_little(world):
    rows = {r.target: r for r in table(world).rows if r.frontend == "two-exit"}
    assert rows[0.6].exits != ()
    assert rows[0.6].exit_frac[0] > 0.05
    assert all(sum(r.exit_frac) == pytest.approx(1.0) for r in rows.values())
    assert all(len(r.exits) in (0, 1) for r in rows.values())


def test_lookup_takes_the_next_target_up(world):
    made = table(world)
    assert {r.target for r in made.find(TASK, 0.7)} == {0.85}
    assert {r.target for r in made.find(TASK, 0.0)} == {0.6}
    assert made.find(TASK, 0.995) == ()
    assert made.find("other task", 0.5) == ()


def test_table_survives_json(world):
    made = merge(table(world), ThresholdTable(rows=()))
    text = msgspec.json.encode(made)
    assert msgspec.json.decode(text, type=ThresholdTable) == made
    assert b"null" in text  # "never" is null, since JSON knows no infinity


@pytest.mark.parametrize(
    "broken",
    [
        {"labels": np.empty(0, int), "frontends": {"plain": [NOTHING]}, "backend_scores": NOTHING},
        {"targets": [0.0]},
        {"targets": [1.2]},
        {"backend_scores": np.ones((5, 10))},
        {"backend_scores": np.ones(2000)},
        {"frontends": {"plain": [np.ones((1999, 10))]}},
    ],
    ids=["empty", "zero target", "target above one", "other length", "one axis", "frontend of other length"],
)
def test_bad_input_is_refused(world, broken):
    with pytest.raises(ConfigError):
        table(world, **broken)


def test_empty_curve_is_refused():
    empty = np.array([], dtype=bool)
    with pytest.raises(ConfigError, match="no calibration samples"):
        curve(np.array([]), empty, empty)
    with pytest.raises(ConfigError, match="answers"):
        curve(np.array([0.5]), np.array([True, False]), np.array([True]))
