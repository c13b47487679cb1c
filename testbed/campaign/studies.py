"""Kinds of experiments that need no board: what ``kind`` in the campaign file names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from testbed.campaign import splits
from testbed.campaign.energy import spec as energy_spec
from testbed.campaign.energy import study as energy
from testbed.campaign.grid import run as grid_run
from testbed.campaign.grid import study as grid
from testbed.campaign.loss import spec as loss_spec
from testbed.campaign.loss import study as loss_study
from testbed.coordinator.labfile import read_toml
from testbed.errors import ConfigError, did_you_mean
from testbed.resources import CAMPAIGN_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.campaign.progress import Progress


class Runner(Protocol):
    """Computes a study and writes its result."""

    def __call__(self, folder: Path, out: Path, *, seed: int | None, progress: Progress) -> Path:
        """Read the campaign file in ``folder``, write into ``out``, return it."""


RUNNERS: dict[str, Runner] = {
    splits.KIND: splits.run_splits,
    grid.KIND: grid_run.run_grid,
    energy_spec.KIND: energy.run_energy,
    loss_spec.KIND: loss_study.run_loss,
}


def run_study(folder: Path, out: Path, *, seed: int | None, progress: Progress) -> Path:
    """Compute the study of a folder.

    Raises:
        ConfigError: the file is wrong, or of a kind that is not known. StoreError: ``out`` cannot be written.
    """
    file = folder / CAMPAIGN_FILE
    kind = str(read_toml(file)[1].get("kind"))
    if kind not in RUNNERS:
        raise ConfigError(
            f"no kind {kind!r} of study", file=file, key="kind", cure=did_you_mean(kind, RUNNERS)
        )
    return RUNNERS[kind](folder, out, seed=seed, progress=progress)
