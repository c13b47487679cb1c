"""A board that dies in the middle of a trial: no request is lost, none is answered twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from testbed.campaign.bench import open_lab
from testbed.campaign.data import Data
from testbed.campaign.design import design
from testbed.campaign.pages import first_page
from testbed.campaign.policies import calibrated
from testbed.campaign.progress import Silent
from testbed.campaign.spec import read_campaign
from testbed.campaign.trial import play_trial
from testbed.coordinator.labfile import read_lab
from testbed.coordinator.recovery import Standing
from testbed.model.record import TrialStatus
from testbed.model.request import Outcome
from testbed.store.reader import read_run
from testbed.store.writer import RunWriter
from tests.flow.conftest import shrink

REQUESTS = 300


class Saboteur(Silent):
    """Breaks something when so many requests have their record."""

    def __init__(self, at: int) -> None:
        self.bench: Any = None
        self.work: asyncio.Task[None] | None = None
        self._left = at

    def start(self, label: str, total: int) -> None:
        """Count only the trial's own requests."""
        self._counting = total == REQUESTS

    def advance(self, n: int = 1) -> None:
        self._left -= n * self._counting
        if self._left == 0:
            self.work = asyncio.get_running_loop().create_task(self._kill())

    async def _kill(self) -> None:
        faults = self.bench.inventory.boards["jetson"].faults
        await faults.stall(0.3)
        await asyncio.sleep(0.15)  # at 90 a second a dozen requests are now under way on it
        await faults.kill_agent()


@pytest.mark.timeout(90)
async def test_the_agent_is_killed_and_every_request_still_ends_once(tmp_path: Path) -> None:
    """On the one edge board there is, so that something is under way on it whenever it dies."""
    folder = shrink(tmp_path / "hello", REQUESTS, policies='["edgesight"]', boards=("jetson", "host"))
    campaign = read_campaign(folder)
    lab, data, saboteur = read_lab(campaign.lab), Data(campaign.tasks), Saboteur(60)
    async with open_lab(lab, data, seed=1, warmup=1, progress=saboteur) as bench:
        saboteur.bench = bench
        thresholds = calibrated(campaign, lab, data)
        trials = design(campaign)
        page = first_page(tmp_path / "run", campaign, lab, data, trials, thresholds, bench.profiles, [])
        with RunWriter.create(tmp_path / "run", page) as run:
            status = await play_trial(trials[0], campaign, bench, thresholds, run, saboteur)
        await bench.inventory.recovery.settled()  # it comes back by itself, on a busy host after the trial
        assert bench.inventory.recovery.state("jetson") is Standing.IN_SERVICE
    assert saboteur.work is not None
    await saboteur.work
    [attempt] = read_run(tmp_path / "run").trials
    assert sorted(record.request.id for record in attempt.records) == list(range(REQUESTS))
    lost = {TrialStatus.LINK_ERROR, TrialStatus.BOARD_ERROR}  # the latter if it was not back by the end
    assert status in lost, "a board lost on the way is not a result of the policy"
    assert not attempt.counts
    assert {r.outcome for r in attempt.records} <= {
        Outcome.COMPLETED,
        Outcome.DEGRADED,
        Outcome.REJECTED,
        Outcome.FAILED,
        Outcome.EXPIRED,
    }
    hit = [r for r in attempt.records if any(s.board == "jetson" and s.error for s in r.steps)]
    assert hit, "something was under way on the board"
    for record in hit:
        good = [step for step in record.steps if step.ok]
        assert len([s for s in record.steps if s.error]) <= 2, "retried at most once"
        assert (record.outcome in (Outcome.COMPLETED, Outcome.DEGRADED)) == bool(good)
        assert len(record.used) <= 1
    assert any(note.text.startswith("jetson is down") for note in attempt.notes)
