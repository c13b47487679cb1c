"""A meter beside a board is unplugged in the middle of a trial, which does not count then: a resume plays it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.virtual.meters.scpi import VirtualSupply
from drivers.virtual.meters.serving import TcpServing
from testbed.campaign import pattern, run_experiment
from testbed.campaign.progress import Silent
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from testbed.units import MS
from tests.flow.conftest import ROOT, shrink

REQUESTS = 120

LAB = """
schema = 1
name = "metered"
[boards.here]
kind = "local"
site = "edge"
models = ["cnn-tiny"]
[meters.psu]
kind = "scpi"
feeds = "here"
where = "{where}"
period_ms = 20
"""


class Clumsy(Silent):
    """Pulls the meter's plug after a third of the first trial's load, and puts it back when the load is over."""

    def __init__(self, serving: TcpServing) -> None:
        self._serving = serving
        self._left = REQUESTS // 3
        self._counting = False

    def start(self, label: str, total: int) -> None:
        self._counting = total == REQUESTS

    def advance(self, n: int = 1) -> None:
        self._left -= n * self._counting
        if self._left == 0:
            self._serving.mute()

    def done(self) -> None:
        if self._counting:
            self._serving.mend()
            self._counting = False


@pytest.mark.timeout(120)
def test_a_trial_whose_meter_was_lost_does_not_count_and_is_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern, "SHORTEST_SLOT", 50 * MS)
    monkeypatch.setattr(pattern, "LONGEST_SLOT", 200 * MS)
    folder = shrink(tmp_path / "exp", REQUESTS, rate_hz=60, policies='["edge-only"]')
    text = (folder / "campaign.toml").read_text().replace("blocks = 1", "blocks = 2")
    shipped = f'lab = "{ROOT / "experiments" / "labs" / "virtual.toml"}"'
    assert shipped in text
    (folder / "campaign.toml").write_text(text.replace(shipped, f'lab = "{tmp_path / "lab.toml"}"'))
    supply = VirtualSupply()
    supply.draw(7.5)
    with TcpServing(supply.answer) as serving:
        (tmp_path / "lab.toml").write_text(LAB.format(where=serving.where))
        out = run_experiment(folder, out=tmp_path / "run", progress=Clumsy(serving))
        run = read_run(out)
        hit, spared = sorted(run.trials, key=lambda attempt: attempt.start.t0)
        assert (hit.status, hit.counts) == ("meter_error", False)
        assert hit.end is not None
        assert "meter psu (lost): here: " in hit.end.reason
        assert "of the interval without a power sample, at most 20% allowed" in hit.end.reason
        assert len(hit.records) == REQUESTS, "its requests are all there, whatever the meter did"
        assert (spared.status, spared.counts) == ("ok", True), "the next trial waits until the meter is back"
        told = {row.trial: row for row in analyse(run).meters}
        assert told[hit.start.trial].gross_j is None
        assert "without a power sample" in told[hit.start.trial].reason
        assert told[spared.start.trial].gross_j is not None
        assert analyse(run).verdict == "incomplete"

        again = read_run(run_experiment(folder, resume=out))
        assert [attempt.status for attempt in again.trials] == ["ok", "ok"]
        assert analyse(again).policies[0].energy.total_j is not None
