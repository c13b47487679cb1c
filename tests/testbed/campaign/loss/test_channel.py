import numpy as np
import pytest

from testbed.campaign.loss.channel import struck
from testbed.model.losses import Loss, LossOptions

N = 100_000


def runs(lost) -> float:
    """Mean length of a run of lost packets."""
    return lost.sum() / (np.diff(np.concatenate(([0], lost.astype(int)))) == 1).sum()


@pytest.mark.parametrize("frac", [0.01, 0.05, 0.2])
def test_shares_and_lengths_are_those_asked_for(frac) -> None:
    alone, bursts = struck((1,), N, frac, 1.0), struck((1,), N, frac, 4.0)
    # Bursts of mean length 4 vary as if there were about (2 * 4 - 1) times fewer packets.
    assert alone.mean() == pytest.approx(frac, abs=5 * (frac / N) ** 0.5)
    assert bursts.mean() == pytest.approx(frac, abs=5 * (7 * frac / N) ** 0.5)
    assert runs(alone) == pytest.approx(1 / (1 - frac), rel=0.1)
    assert runs(bursts) == pytest.approx(4.0, rel=0.15)


def test_it_is_the_process_of_the_emulated_network() -> None:
    live = Loss(LossOptions(to_bad=0.25 * 0.1 / 0.9, to_good=0.25, bad_frac=1.0), "seed")
    played = np.array([live.strikes() for _ in range(N)])
    drawn = struck((1,), N, 0.1, 4.0)
    assert played.mean() == pytest.approx(drawn.mean(), rel=0.1)
    assert runs(played) == pytest.approx(runs(drawn), rel=0.1)


def test_what_is_lost_at_a_small_share_is_lost_at_a_larger_one() -> None:
    few, many = struck((3,), 1000, 0.02, 1.0), struck((3,), 1000, 0.1, 1.0)
    assert (many | ~few).all()
    assert (struck((3,), 1000, 0.02, 1.0) == few).all()


def test_the_ends() -> None:
    for length in (1.0, 4.0):
        assert not struck((1,), 100, 0.0, length).any()
        assert struck((1,), 100, 1.0, length).all()
