"""A lab in virtual time: boards that are draws from profiles, behind links as a live run saw them or as declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from testbed.campaign.loss.channels import channel_of
from testbed.coordinator.lossy_board import LossyBoard
from testbed.coordinator.modelled import Answers, LinkModel, ModelledBoard
from testbed.coordinator.residency import Residency
from testbed.coordinator.simulate import ON_COORDINATOR
from testbed.errors import ConfigError
from testbed.model import event as ev
from testbed.model.profile import ProfileBook
from testbed.store.reader import read_events

if TYPE_CHECKING:
    from testbed.campaign.data import Data
    from testbed.campaign.loss.calibration import Way
    from testbed.campaign.loss.inputs import LossyInputs
    from testbed.coordinator.labfile import LabFile
    from testbed.model.wires import Wire
    from testbed.store.reader import Run
    from testbed.units import Ns


class VirtualLab:
    """What is known of a lab: the way to each board, and profiles of what it may run."""

    def __init__(self, lab: LabFile, profiles: ProfileBook, links: dict[str, LinkModel]) -> None:
        """Hold together what belongs together."""
        self.lab = lab
        self.profiles = profiles
        self.links = links
        self.answers: dict[str, Answers] = {}
        self.inputs: dict[Way, LossyInputs] = {}

    def with_way(self, site: str, rtt: Ns, wire: Wire | None = None) -> VirtualLab:
        """The same lab with another way to the boards of a site.

        Args:
            wire: towards them; ``None`` leaves their rates as they are. A policy is told its mean rate, as live, where
                it is told what the link declares.
        """
        links = dict(self.links)
        for board, (table, _) in self.lab.boards.items():
            if table.site == site:
                links[board] = msgspec.structs.replace(links[board], rtt=rtt)
                if wire is not None:
                    links[board] = msgspec.structs.replace(
                        links[board], up_wire=wire, up_bytes_per_s=wire.mean_bytes_per_s
                    )
        again = VirtualLab(self.lab, self.profiles, links)
        again.answers, again.inputs = self.answers, self.inputs
        return again

    @classmethod
    def seen_by(cls, run: Run, lab: LabFile) -> VirtualLab:
        """The lab as a live run saw it.

        Of a table that stands for several boards each is as the one board of that name which the run knows.

        Raises:
            ConfigError: that run says nothing of a board or of a model on it.
        """
        rows = {(b, m): profile for b, models in run.header.known.items() for m, profile in models.items()}
        links: dict[str, LinkModel] = {}
        for attempt in run.trials:
            if attempt.events_file is None:
                continue
            for entry in read_events(attempt.events_file):
                if isinstance(entry, ev.NetworkSeen):
                    links[entry.board] = LinkModel(
                        rtt=entry.rtt,
                        up_bytes_per_s=entry.up_bytes_per_s,
                        down_bytes_per_s=entry.down_bytes_per_s,
                        loss_frac=entry.loss_frac,
                    )
        for board, table_name in lab.tables.items():
            if table_name in links:
                links.setdefault(board, links[table_name])
            for model in lab.boards[board][0].models:
                known = rows.get((table_name, model))
                if known is not None:
                    rows.setdefault((board, model), known)
        for board, (table, _) in lab.boards.items():
            missing = [model for model in table.models if (board, model) not in rows]
            if board not in links or missing:
                what = f"no profile of {', '.join(missing)} on it" if missing else "no probe of its link"
                raise ConfigError(
                    f"the run in {run.folder} holds {what}",
                    file=lab.file,
                    key=f"boards.{board}",
                    cure="Name a live run of this lab with --after",
                )
        of_this_lab = {(board, model): row for (board, model), row in rows.items() if board in lab.boards}
        return cls(lab, ProfileBook(of_this_lab), {board: links[board] for board in lab.boards})


def modelled_boards(virtual: VirtualLab, data: Data, seed: int) -> dict[str, ModelledBoard]:
    """A board for each of the lab's, every one with a stream of random numbers of its own."""
    answers: dict[str, Answers] = virtual.answers  # what a model answers is the same in every trial
    boards: dict[str, ModelledBoard] = {}
    streams = np.random.SeedSequence([seed, 0x51]).spawn(len(virtual.lab.boards))
    for (board, (table, _)), stream in zip(virtual.lab.boards.items(), streams, strict=True):
        for model in table.models:
            if model not in answers:
                answers[model] = Answers(data.of(model).test_scores(model))
        link = virtual.links[board]
        profiles = {model: virtual.profiles.rows[board, model] for model in table.models}
        channel = channel_of(virtual.lab, board, link, data, virtual.inputs, seed)
        kind = ModelledBoard if channel is None else LossyBoard
        boards[board] = kind(
            board,
            link,
            profiles,
            {model: answers[model] for model in table.models},
            np.random.default_rng(stream),
            Residency(profiles, table.resident, table.memory_bytes),
            channel,
        )
    return boards


def known_events(virtual: VirtualLab) -> list[ev.CoreEvent]:
    """Events that tell a core how the lab stands at the start."""
    events: list[ev.CoreEvent] = []
    for board, (table, _) in virtual.lab.boards.items():
        link = virtual.links[board]
        resident = tuple((model, 1) for model in table.at_start)
        events.append(ev.BoardUp(t=0, board=board, boot=ON_COORDINATOR, resident=resident))
        events.append(
            ev.NetworkSeen(
                t=0,
                board=board,
                rtt=link.rtt,
                up_bytes_per_s=link.up_bytes_per_s,
                down_bytes_per_s=link.down_bytes_per_s,
                loss_frac=link.loss_frac,
            )
        )
    return events
