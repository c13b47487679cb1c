import msgspec
import pytest

from testbed.campaign.loss.escalated import escalated_figures, escalated_rows
from testbed.campaign.loss.operating import OperatingRow
from tests.testbed.campaign.loss.test_response import ALL, LIVE

POINT = OperatingRow(
    rule="chosen",
    value=1.0,
    frontend="edge",
    target=0.75,
    pattern="iid",
    loss=0.05,
    promised=5,
    drop_pt=1.0,
    drop_low_pt=0.0,
    drop_high_pt=2.0,
    known_drop_pt=1.0,
    offload_frac=0.0,
    whole_offload_frac=0.0,
)


def row(**more):
    (found,) = escalated_rows(LIVE, ALL, [msgspec.structs.replace(POINT, **more)], 1)
    return found


def test_without_escalations_it_is_the_transports_own_ratio() -> None:
    found = row()
    assert found.other == "tcp bbr"
    assert found.frac == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.2, 0.2))


def test_escalations_eat_the_lead_the_more_the_more_there_are() -> None:
    fracs = [row(offload_frac=share).frac for share in (0.02, 0.1, 0.5, 1.0)]
    assert fracs == sorted(fracs)
    assert fracs[0] > 0.2
    assert fracs[-1] > 1.0


def test_what_tcp_sends_on_without_loss_counts_on_its_side() -> None:
    assert row(offload_frac=0.3, whole_offload_frac=0.3).frac < row(offload_frac=0.3).frac


def test_points_that_were_not_played_or_never_promised_have_no_row() -> None:
    unplayed = msgspec.structs.replace(POINT, pattern="bursts")
    assert escalated_rows(LIVE, ALL, [unplayed, msgspec.structs.replace(POINT, drop_pt=None)], 1) == []


def test_the_figure_is_the_worst_of_the_chosen() -> None:
    found = [row(), row(offload_frac=0.1), row(rule="limit", offload_frac=1.0)]
    assert escalated_figures(found) == {"lossy_p99_escalated_frac": found[1].frac}
    assert escalated_figures(found[2:]) == {}
