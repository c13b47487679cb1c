"""An open lab: boards up, models resident and warm, profiles complete."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from testbed.campaign.data import Data
from testbed.campaign.services import measure_services, profile_of
from testbed.coordinator.boards import board_specs
from testbed.coordinator.instruments import Instruments, build_switches
from testbed.coordinator.inventory import Inventory
from testbed.errors import ConfigError
from testbed.model.profile import HwProfile, ProfileBook
from testbed.scratch import scratch_folder
from testbed.store.profiles import find_folder, load_profiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from testbed.campaign.progress import Progress
    from testbed.coordinator.labfile import LabFile
    from testbed.errors import LeaseError
    from testbed.units import Ns

PROFILE_EXECUTIONS = 40
"""Executions behind the profile of a board whose lab file names none: enough for a median, not for a tail."""


@asynccontextmanager
async def open_lab(
    lab: LabFile,
    data: Data,
    *,
    seed: int,
    warmup: int,
    progress: Progress,
    known: Mapping[str, Mapping[str, HwProfile]] | None = None,
    purpose: str = "",
    wait: Ns = 0,
) -> AsyncIterator[Bench]:
    """Lease and open every board of a lab; close and release them all at the end, whatever happens.

    Args:
        known: profiles, by board and model, of what the lab file has none of; what is missing is measured.
        purpose: of the leases. wait: how long to wait for boards that somebody else has.

    Raises:
        ConfigError: a board's table or profile is wrong. LinkError, BoardError: a board did not come up.
        LeaseError: somebody else has a board, or has it now: the block is cancelled when a lease is lost.
        MeterError: an instrument of the lab file cannot be used.
    """
    opened = open_boards(lab, data, seed=seed, progress=progress, purpose=purpose, wait=wait)
    async with opened as (inventory, instruments):
        bench = await _warm(inventory, instruments, lab, data, warmup, progress, known or {})
        await instruments.settle(inventory)
        yield bench


@asynccontextmanager
async def open_boards(
    lab: LabFile, data: Data, *, seed: int, progress: Progress, purpose: str = "", wait: Ns = 0
) -> AsyncIterator[tuple[Inventory, Instruments]]:
    """As `open_lab`, but the models are cold, and nothing is measured of them."""
    body = asyncio.current_task()
    assert body is not None, "an asynchronous context manager runs in a task"

    closing = False

    def stop(_: LeaseError) -> None:
        if not closing:
            body.cancel()

    # Short-lived keys and sockets of virtual boards live here, never in the run folder.
    with scratch_folder() as state:
        specs = board_specs(lab, data.models, profile_lookup(lab), state, seed)
        inventory = Inventory(specs, lab, purpose=purpose, switches=build_switches(lab), on_lost=stop)
        instruments = Instruments(lab, state)
        progress.start("boards", len(inventory.boards))
        try:
            await inventory.open(
                on_open=progress.advance,
                wait=wait,
                on_wait=lambda error: progress.note(f"waiting: {error.message}"),
            )
            progress.done()
            await instruments.open(inventory)
            yield inventory, instruments
        except asyncio.CancelledError:
            if inventory.leasing.lost is None:
                raise
            body.uncancel()
            raise inventory.leasing.lost from None
        finally:
            closing = True
            await instruments.close()
            await inventory.close()


class Bench:
    """What a trial is played on."""

    def __init__(
        self,
        inventory: Inventory,
        instruments: Instruments,
        lab: LabFile,
        data: Data,
        profiles: ProfileBook,
    ) -> None:
        """Hold together what belongs together."""
        self.inventory = inventory
        self.instruments = instruments
        self.lab = lab
        self.data = data
        self.profiles = profiles


def profile_lookup(lab: LabFile) -> Callable[[str, str], HwProfile | None]:
    """Look up (profile folder, model), reading each folder once; `ConfigError` for a folder that is not there."""
    folders: dict[str, dict[str, HwProfile]] = {}

    def find(folder: str, model: str) -> HwProfile | None:
        if folder not in folders:
            folders[folder] = load_profiles(find_folder(folder, beside=lab.file))
        return folders[folder].get(model)

    return find


async def _warm(
    inventory: Inventory,
    instruments: Instruments,
    lab: LabFile,
    data: Data,
    warmup: int,
    progress: Progress,
    known: Mapping[str, Mapping[str, HwProfile]],
) -> Bench:
    """Warm every model up that is held from the start, and measure what no profile is known of.

    Raises:
        ConfigError: nothing is known of a model that is loaded later only.
    """
    rows: dict[tuple[str, str], HwProfile] = {}
    pairs = [(board, model) for board, spec in inventory.specs.items() for model in spec.models]
    progress.start("warm-up", len(pairs))
    for board, model in pairs:
        spec = inventory.specs[board]
        profile = spec.profiles.get(model) or known.get(board, {}).get(model)
        if model not in spec.at_start:
            if profile is None:
                raise ConfigError(
                    f"{model} is not held from the start, so it cannot be measured now",
                    file=lab.file,
                    key=f"boards.{board}.profiles",
                    cure="Name a folder of hwprofiles that has it, or add it to resident",
                )
            rows[board, model] = profile
            progress.advance()
            continue
        await measure_services(inventory, data, board, model, batches=(1,), repeats=warmup)
        if profile is None:
            services = await measure_services(
                inventory, data, board, model, batches=(1,), repeats=PROFILE_EXECUTIONS
            )
            profile = profile_of(inventory.facts[board], data, model, services)
            progress.note(
                f"{board}: no profile of {model} given, so it was measured now ({PROFILE_EXECUTIONS} runs)"
            )
        rows[board, model] = profile
        progress.advance()
    progress.done()
    return Bench(inventory, instruments, lab, data, ProfileBook(rows))
