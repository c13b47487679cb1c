import numpy as np
import pytest

from testbed.campaign.loss.live import Played
from testbed.campaign.loss.live_spec import Live
from testbed.campaign.loss.response import RatioRow, ResponseRow, response_figures, response_rows

LIVE = Live(networks=2, clients=3, requests=600, resamples=200)


def played(transport, scale, pattern="iid", loss=0.05, late=0):
    response_ms = np.random.default_rng(1).exponential(1.0, (6, 100)) * scale
    unanswered = np.zeros((6, 100), bool)
    unanswered[:late, 0] = True
    return Played(
        transport=transport,
        pattern=pattern,
        loss=loss,
        response_ms=response_ms,
        lost_frac=np.where(unanswered, np.nan, 0.1),
        again=np.zeros((6, 100), bool),
        unanswered=unanswered,
        counts={"up": {"entered": 6000, "lost": 300}, "down": {"entered": 1, "lost": 0}},
        facts={"congestion": "cubic"},
    )


ALL = [
    played("lossy", 10, late=2),
    played("fec", 20),
    played("tcp cubic", 100),
    played("tcp bbr", 50),
]


def test_a_row_for_each_and_a_ratio_over_the_better_stream() -> None:
    rows = response_rows(LIVE, ALL, 1)
    responses = [row for row in rows if isinstance(row, ResponseRow)]
    ratios = {row.other: row for row in rows if isinstance(row, RatioRow)}
    assert [row.transport for row in responses] == ["lossy", "fec", "tcp cubic", "tcp bbr"]
    assert responses[0].unanswered == 2
    assert responses[0].lost_frac == pytest.approx(0.1)
    assert responses[0].delivered_loss == pytest.approx(0.05)
    assert responses[0].packets_up == 10
    assert len(responses[0].p99_of_networks_ms) == 2
    for row in responses:
        assert row.p99_low_ms <= row.p99_ms <= row.p99_high_ms
    assert set(ratios) == {"tcp bbr", "fec"}
    # The same draws of the same clients on both sides: the ratio has no spread here.
    assert ratios["tcp bbr"].low == pytest.approx(0.2)
    assert ratios["tcp bbr"].high == pytest.approx(0.2)
    assert ratios["fec"].frac == pytest.approx(0.5)


def test_the_headline_is_the_worse_of_the_patterns() -> None:
    bursts = [
        played("lossy", 30, "bursts"),
        played("fec", 30, "bursts"),
        played("tcp cubic", 60, "bursts"),
    ]
    beside = [
        played("lossy", 9, "iid", 0.2),
        played("fec", 1, "iid", 0.2),
        played("tcp cubic", 1, "iid", 0.2),
    ]
    found = response_figures(response_rows(LIVE, [*ALL, *bursts, *beside], 1), 0.05)
    assert found["lossy_p99_frac"] == found["lossy_p99_frac_bursts"] == pytest.approx(0.5)
    assert found["lossy_p99_frac_iid"] == pytest.approx(0.2)
    assert found["lossy_fec_p99_frac"] == pytest.approx(1.0)
    assert found["lossy_fec_p99_frac_iid"] == pytest.approx(0.5)
    assert found["p99_ms_tcp_bbr_iid"] == pytest.approx(5 * found["p99_ms_lossy_iid"])


def test_without_coded_datagrams_there_is_no_ratio_over_them() -> None:
    rows = response_rows(LIVE, [one for one in ALL if one.transport != "fec"], 1)
    assert [row.other for row in rows if isinstance(row, RatioRow)] == ["tcp bbr"]
    assert response_rows(LIVE, [], 1) == []


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert response_rows(LIVE, ALL, 1) == response_rows(LIVE, ALL, 1)
