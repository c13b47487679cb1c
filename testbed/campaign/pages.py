"""First and last page of a run folder: what was set out to be done, and how it ended."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.measure.environment import boot_id, clock_source, cpu_model, governor, host_id
from testbed.resources import root
from testbed.store.provenance import git_state, host_facts, sha256_of, versions
from testbed.store.reader import read_run
from testbed.store.schema import Footer, Header, Planned, Source

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.campaign.data import Data
    from testbed.campaign.design import Trial
    from testbed.campaign.spec import Campaign
    from testbed.coordinator.labfile import LabFile
    from testbed.model.lab import ModelFiles
    from testbed.model.profile import HwProfile, ProfileBook
    from testbed.policy.thresholds import ThresholdTable
    from testbed.store.writer import RunWriter


def last_page(run: RunWriter, status: str, reason: str) -> Footer:
    """The footer of a run as its folder stands."""
    so_far = read_run(run.folder)
    counting = [attempt for attempt in so_far.trials if attempt.counts]
    return Footer(
        status=status,
        reason=reason,
        ended=datetime.datetime.now(datetime.UTC).isoformat(),
        trials=tuple(attempt.start.trial for attempt in counting),
        counts={"requests": float(sum(len(attempt.records) for attempt in counting))},
    )


def first_page(
    out: Path,
    campaign: Campaign,
    lab: LabFile,
    data: Data,
    trials: list[Trial],
    thresholds: ThresholdTable | None,
    profiles: ProfileBook,
    agents: list[str],
    after: Header | None = None,
) -> Header:
    """The header of a run that is about to begin.

    Args:
        profiles: what the policies believe. agents: SHA-256 of the agent on each board; none in virtual time.
        after: of a run in virtual time, the header of the live run it takes its lab from.
    """
    commit, dirty = git_state(root())
    return Header(
        run=out.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(),
        experiment=campaign.name,
        experiment_path=_where(campaign.folder),
        policies=campaign.policies,
        planned=tuple(Planned(trial=t.id, policy=t.policy, block=t.block, seed=t.seed) for t in trials),
        campaign=as_data(campaign),
        lab_file=_where(lab.file),
        lab_text=lab.text,
        lab_sha256=sha256_of(lab.text.encode()),
        profiles={
            f"{board}/{model}": profile_hash(profile) for (board, model), profile in profiles.rows.items()
        },
        known={
            board: {m: profile for (b, m), profile in profiles.rows.items() if b == board}
            for board in lab.boards
        },
        models={name: model_hash(files) for name, files in data.models.items()},
        agent_sha256="+".join(sorted(set(agents))),
        git_commit=commit,
        git_dirty=dirty,
        versions=versions(),
        host=host_facts(
            cpu=cpu_model(),
            boot_id=boot_id(),
            host_id=host_id(),
            governor=governor(),
            clock_source=clock_source(),
        ),
        seeds={"campaign": campaign.seed},
        thresholds={"table": msgspec.to_builtins(thresholds)} if thresholds is not None else {},
        labels={task: list(one.catalog.classes) for task, one in data.tasks.items()},
        after=Source(run=after.run, created=after.created) if after is not None else None,
    )


def _where(path: Path) -> str:
    """Where a resume finds a file or folder again: in the tree that travels with the package, or anywhere."""
    path = path.resolve()
    return str(path.relative_to(root())) if path.is_relative_to(root()) else str(path)


def model_hash(files: ModelFiles) -> str:
    """What identifies a model in a header: the hashes of its parts."""
    return "+".join(files.sha256)


def profile_hash(profile: HwProfile) -> str:
    """What identifies a profile in a header, wherever its figures come from."""
    return sha256_of(msgspec.json.encode(profile, order="sorted"))


def as_data(campaign: Campaign) -> dict[str, Any]:
    """The campaign as data, without the paths of this machine."""
    kept = {
        name: getattr(campaign, name)
        for name in campaign.__struct_fields__
        if name not in ("lab", "tasks", "folder", "text")
    }
    # Through JSON, so that it equals what a header gives back.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(kept))
    return plain | {"sha256": sha256_of(campaign.text.encode())}
