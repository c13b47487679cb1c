"""The small set, smaller: its shape with its statistical margin."""

import msgspec
import pytest

from drivers.virtual.network.tun import why_not
from drivers.virtual.transports import coding
from testbed.campaign.loss.live import play_live
from testbed.campaign.loss.response import RatioRow, ResponseRow, response_figures, response_rows
from testbed.campaign.loss.sets import shipped_set
from testbed.campaign.loss.spec import read_loss_study
from testbed.campaign.loss.study import figures, loss_rows
from testbed.campaign.progress import Silent
from testbed.resources import root


def test_neighbours_conceal_better_than_grey_and_knowing_the_loss_keeps_the_accuracy() -> None:
    study = read_loss_study(root() / "experiments" / "02-lossy-edge")
    few = msgspec.structs.replace(
        study, samples=600, losses=(0.05, 0.2), fills=("grey", "linear"), frontends=("cnn-small",), splits=10
    )
    result = loss_rows(few, shipped_set(few.task, [*few.frontends, few.backend]), Silent())
    found = figures(few, result)
    # 600 images: a standard error of the drop is at most about 1.5 points.
    for pattern in few.patterns:
        assert found[f"edge_drop_pt_{pattern}_linear"] < found[f"edge_drop_pt_{pattern}_grey"]
    assert found["lossy_accuracy_drop_pt"] <= 2.0 + 1.5
    worst = {r.aware: r for r in result.thresholds if (r.loss, r.pattern, r.target) == (0.2, "bursts", 0.85)}
    assert worst[True].drop_pt < worst[False].drop_pt
    assert worst[True].offload_frac > worst[False].offload_frac


@pytest.mark.skipif(bool(why_not() or coding.why_not()), reason=why_not() or coding.why_not())
def test_the_lossy_path_is_answered_before_tcp_has_sent_again_what_was_lost() -> None:
    folder = root() / "experiments" / "02-lossy-edge"
    study = read_loss_study(folder)
    assert study.live is not None
    live = msgspec.structs.replace(
        study.live, requests=480, networks=1, clients=24, losses=(0.05,), congestion=("cubic",)
    )
    few = msgspec.structs.replace(study, patterns=("iid",))
    images = shipped_set(study.task, []).pictures
    played, _ = play_live(few, live, images, folder / "campaign.toml", Silent())
    rows = response_rows(live, played, study.seed)
    responses = {row.transport: row for row in rows if isinstance(row, ResponseRow)}
    lossy, tcp = responses["lossy"], responses["tcp cubic"]
    assert lossy.packets_up > 10
    assert {row.unanswered for row in responses.values()} == {0}
    for row in responses.values():  # 480 pictures of about 20 packets: a standard error of 0.2 points
        assert row.delivered_loss == pytest.approx(0.05, abs=0.015)
    assert lossy.lost_frac == pytest.approx(0.05, abs=0.015)
    assert lossy.p50_ms >= 45.0  # a round trip and the service
    # With 5 % loss two of three pictures lose a packet: TCP's upper half waits for at least one more round trip.
    assert lossy.p50_ms < tcp.p50_ms
    assert lossy.p99_ms < tcp.p99_ms
    (over_tcp, over_fec) = [row for row in rows if isinstance(row, RatioRow)]
    assert over_tcp.low <= response_figures(rows, 0.05)["lossy_p99_frac"] <= over_tcp.high
    assert over_fec.frac > 0
