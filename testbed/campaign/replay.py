"""Plays the event log of a recorded trial through a fresh core and policy: the decisions must come out the same.

What a live run decided is thereby explained by its log alone; a difference means a policy that is not a
function of its seed and its calls, or a core that changed since.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.campaign.data import Data
from testbed.campaign.policies import make_policy
from testbed.coordinator.boards import board_setups
from testbed.coordinator.core import Core
from testbed.coordinator.labfile import parse_lab
from testbed.errors import StoreError
from testbed.model.profile import ProfileBook
from testbed.policy.thresholds import ThresholdTable
from testbed.store.reader import read_events
from testbed.store.schema import Decided

if TYPE_CHECKING:
    from testbed.model.action import Decision
    from testbed.store.reader import Attempt, Run


def replay(
    run: Run, attempt: Attempt, catalogs: dict[str, Path | None] | None = None
) -> tuple[list[Decision], list[Decision]]:
    """Decisions with actions in them: as they were made live, and as they come out now.

    Args:
        catalogs: folder of each task's models where they were not the shipped ones.

    Raises:
        StoreError: the event log cannot be read. ConfigError: the task or the policy is not installed here.
    """
    header, campaign = run.header, run.header.campaign
    lab = parse_lab(header.lab_text, tomllib.loads(header.lab_text), Path(header.lab_file))
    rows = {
        (board, model): profile for board, models in header.known.items() for model, profile in models.items()
    }
    book = ProfileBook(rows)
    options: dict[str, dict[str, Any]] = campaign["options"]
    registered: dict[str, str] = campaign.get("registered", {})
    table = header.thresholds.get("table")
    data = Data(catalogs or dict.fromkeys(header.labels))
    policy = make_policy(
        registered.get(attempt.start.policy, attempt.start.policy),
        options.get(attempt.start.policy, {}),
        lab,
        book,
        msgspec.convert(table, ThresholdTable) if table is not None else None,
        attempt.start.seed,
        data.truth,
    )
    facts = {seen.id: seen for seen in attempt.boards}
    core = Core(
        policy, board_setups(lab, facts), book, data.payload_bytes, first_action=attempt.start.first_action
    )
    core.start(attempt.start.t0)
    live: list[Decision] = []
    again: list[Decision] = []
    if attempt.events_file is None:
        raise StoreError(
            "has no event log",
            file=run.folder / attempt.start.trial,
            cure="Only a finished attempt keeps one",
        )
    for entry in read_events(attempt.events_file):
        if isinstance(entry, Decided):
            live += [entry.decision] if entry.decision.actions else []
            continue
        core.handle(entry)
        if core.decision is not None and core.decision.actions:
            again.append(core.decision)
    return live, again
