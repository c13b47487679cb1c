"""Finds the live run that says how a lab is: the latest of the same lab on the same host."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.campaign.bench import profile_lookup
from testbed.campaign.pages import model_hash, profile_hash
from testbed.campaign.virtual_lab import VirtualLab
from testbed.errors import ConfigError, StoreError
from testbed.measure.environment import cpu_model, host_id
from testbed.store.provenance import host_facts
from testbed.store.reader import read_run
from testbed.store.versions import load_header

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.campaign.data import Data
    from testbed.coordinator.labfile import LabFile
    from testbed.store.schema import Header

_HOST = ("id", "cpu", "cores", "machine")


def latest_live_run(place: Path, lab: LabFile, data: Data) -> Path | None:
    """The run folder below ``place`` that `VirtualLab.seen_by` can take this lab from, or ``None``.

    A run counts if it was live, its lab file has the tables of this one (whatever their ``count``), its host is this
    one, and its models and the profiles that the lab file names are as they are now. Folders that hold no run, or one
    that cannot be read, are passed over.

    Raises:
        ConfigError: the lab file names profiles that are not there.
    """
    find = profile_lookup(lab)
    named = {
        f"{lab.tables[board]}/{model}": profile_hash(profile)
        for board, (table, _) in lab.boards.items()
        if table.profiles is not None
        for model in table.models
        if (profile := find(table.profiles, model)) is not None
    }
    found: list[tuple[str, Path]] = []
    for file in place.glob("*/header.json"):
        try:
            header = load_header(file.parent)
        except StoreError:
            continue
        if _fits(header, lab, data, named):
            found.append((header.created, file.parent))
    for _, folder in sorted(found, reverse=True):
        try:
            VirtualLab.seen_by(read_run(folder), lab)
        except (StoreError, ConfigError):
            continue
        return folder
    return None


def _tables(text: str) -> dict[str, str]:
    """Each board's table as text that can be compared, without how many it stands for."""
    boards: dict[str, dict[str, Any]] = tomllib.loads(text)["boards"]
    return {
        name: msgspec.json.encode({k: v for k, v in table.items() if k != "count"}, order="sorted").decode()
        for name, table in boards.items()
    }


def _fits(header: Header, lab: LabFile, data: Data, named: dict[str, str]) -> bool:
    here = host_facts(cpu=cpu_model(), host_id=host_id())
    models = {model for table, _ in lab.boards.values() for model in table.models}
    return (
        header.after is None
        and header.agent_sha256 != ""
        and _tables(lab.text).items() <= _tables(header.lab_text).items()
        and all(header.host.get(key) == here[key] for key in _HOST)
        and all(header.models.get(name) == model_hash(data.models[name]) for name in models)
        and all(header.profiles.get(key) == sha256 for key, sha256 in named.items())
    )
