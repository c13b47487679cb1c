import pytest

from testbed.model.losses import Loss, LossOptions, SeenLoss
from testbed.units import MS

N = 40_000
BURSTS = LossOptions(to_bad=0.01, to_good=0.2, bad_frac=1.0)


def strikes(options, seed="1"):
    loss = Loss(options, seed)
    return [loss.strikes() for _ in range(N)]


def runs(lost):
    found, length = [], 0
    for strike in [*lost, False]:
        if strike:
            length += 1
        elif length:
            found.append(length)
            length = 0
    return found


def test_share_is_as_asked_in_both_models() -> None:
    assert sum(strikes(LossOptions(frac=0.05))) / N == pytest.approx(0.05, abs=0.006)
    assert sum(strikes(BURSTS)) / N == pytest.approx(BURSTS.mean_frac, abs=0.015)


def test_bursts_are_as_long_as_the_bad_state_lasts_and_single_losses_are_not() -> None:
    burst = runs(strikes(BURSTS))
    single = runs(strikes(LossOptions(frac=0.05)))
    assert sum(burst) / len(burst) == pytest.approx(1 / 0.2, rel=0.15)
    assert sum(single) / len(single) < 1.2


def test_the_same_seed_loses_the_same_packets() -> None:
    assert strikes(BURSTS) == strikes(BURSTS)
    assert strikes(BURSTS) != strikes(BURSTS, "2")
    assert not any(strikes(LossOptions()))


def test_long_run_share_of_both_models() -> None:
    assert LossOptions(frac=0.05).mean_frac == 0.05
    assert LossOptions(to_bad=0.01, to_good=0.09, bad_frac=0.5, frac=0.1).mean_frac == pytest.approx(0.14)
    assert LossOptions().mean_frac == 0


@pytest.mark.parametrize(
    "wrong", [{"frac": 1.5}, {"to_bad": -0.1}, {"to_bad": 0.1, "to_good": 0.0}, {"bad_frac": 0.5}]
)
def test_what_is_no_probability_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="must be"):
        LossOptions(**wrong)


def test_what_is_seen_is_smoothed_and_told_a_few_times_a_second() -> None:
    seen = SeenLoss()
    assert seen.frac is None
    told = [seen.add(0.2 if i == 0 else 0.0, 1000 * MS + i * 50 * MS) for i in range(9)]
    assert told == [i % 4 == 0 for i in range(9)]
    assert seen.frac == pytest.approx(0.2 * 0.95**8)
