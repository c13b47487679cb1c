"""The campaign file of a study of accuracy under packet loss (``kind = "loss"``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from testbed.campaign.loss.live_spec import Live
from testbed.coordinator.labfile import read_toml
from testbed.errors import ConfigError
from testbed.model.lab import parse_options
from testbed.model.ranges import Seed
from testbed.policy.confidence import Z
from testbed.resources import CAMPAIGN_FILE
from testbed.wire.fragments import LIMIT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

KIND = "loss"
BURSTS = "bursts"

Pattern = Literal["iid", "bursts"]
Fill = Literal["grey", "mean", "nearest", "linear"]


class Packets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a picture travels.

    Attributes:
        quality: of the JPEG, 1 to 100. units: minimum coded units in a segment; 0 for a row of them.
        limit_bytes: content of a packet. order_bytes: taken in each by the order that it repeats.
    """

    quality: int = 85
    units: int = 0
    limit_bytes: int = LIMIT_BYTES
    order_bytes: int = 96


class LossStudy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is lost, what stands in its place, and whose thresholds meet it.

    Attributes:
        task: whose shipped models and images are taken; or folder: of exported models and images, relative to the
            campaign file (`testbed.campaign.loss.sets`). samples: so many of the images, drawn by the seed; 0 for all.
        frontends: answer what arrived. backend: answers what lost nothing.
        ladder: models that only answer what lost nothing, for comparison.
        targets: accuracies promised. losses: shares of packets lost. burst_packets: mean length of a burst.
        fills: what stands in the place of what was lost. fill: the one that thresholds are made for.
        loss: the headline's. buckets: shares of a picture up to which a threshold of its own holds; what lost more
            goes to the backend.
        splits: random halves of the images, one for thresholds and the other for the test. z: margin.
        limits: shares of a picture, and keeps: points below the accuracy without loss, for which the drop and what it
            costs in escalations are computed at the headline's loss (`testbed.campaign.loss.operating`). goal_pt: drop
            that one of the keeps is chosen for, on the calibration halves.
        live: response times over emulated networks, beside all that; ``None`` leaves them out.
    """

    schema: int
    kind: str
    name: str
    frontends: tuple[str, ...]
    backend: str
    targets: tuple[float, ...]
    buckets: tuple[float, ...]
    question: str = ""
    task: str = ""
    folder: str = ""
    samples: int = 0
    seed: Seed = 1
    ladder: tuple[str, ...] = ()
    packets: Packets = Packets()
    losses: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2)
    patterns: tuple[Pattern, ...] = ("iid", "bursts")
    burst_packets: float = 4.0
    fills: tuple[Fill, ...] = ("grey", "mean", "nearest", "linear")
    fill: Fill = "linear"
    loss: float = 0.05
    splits: int = 50
    z: float = Z
    limits: tuple[float, ...] = ()
    keeps: tuple[float, ...] = ()
    goal_pt: float = 2.0
    live: Live | None = None


def read_loss_study(folder: Path, *, seed: int | None = None) -> LossStudy:
    """Read and check the file.

    Raises:
        ConfigError: names file, key and cure.
    """
    file = folder / CAMPAIGN_FILE
    _, raw = read_toml(file)
    study = parse_options(raw, LossStudy, file=file, key="")
    packets = study.packets
    for key, bad, cure in (
        ("targets", not _within(study.targets), "Targets in (0, 1]"),
        ("losses", not _within(study.losses), "Shares of packets in (0, 1]"),
        ("buckets", not _within(study.buckets), "Shares of a picture in (0, 1]"),
        ("limits", not all(0 <= limit <= 1 for limit in study.limits), "Shares of a picture in [0, 1]"),
        ("keeps", not all(0 <= points < 100 for points in study.keeps), "Points in [0, 100)"),
        ("goal_pt", not 0 <= study.goal_pt < 100, "Points in [0, 100)"),
        ("frontends", not study.frontends, "Name at least one model"),
        ("patterns", not study.patterns, "iid, bursts, or both"),
        ("fill", study.fill not in study.fills, "One of fills"),
        ("loss", study.loss not in study.losses, "One of losses"),
        ("burst_packets", study.burst_packets < 1, "1 or more"),
        ("splits", study.splits < 1, "1 or more"),
        ("samples", study.samples < 0, "0 for all, or a number of images"),
        ("packets.quality", not 1 <= packets.quality <= 100, "1 to 100"),
        ("packets.units", packets.units < 0, "0 for a row, or a number of units"),
        ("packets.limit_bytes", packets.limit_bytes < 1, "A number of bytes"),
        ("packets.order_bytes", packets.order_bytes < 0, "A number of bytes"),
        ("task", bool(study.task) == bool(study.folder), "Either task or folder"),
    ):
        if bad:
            raise ConfigError("out of range", file=file, key=key, cure=cure)
    wrong = study.live.wrong(study.loss) if study.live is not None else None
    if wrong is not None:
        raise ConfigError("out of range", file=file, key=f"live.{wrong[0]}", cure=wrong[1])
    return study if seed is None else msgspec.structs.replace(study, seed=seed)


def _within(shares: tuple[float, ...]) -> bool:
    return bool(shares) and all(0 < share <= 1 for share in shares)
