"""Finds what travels with the package: labs, hardware profiles and the hello experiment.

A checkout has them in its own tree; a wheel carries a copy under ``testbed/_shipped`` in the same shape, so that
relative paths between an experiment and its lab hold in both.
"""

from __future__ import annotations

from pathlib import Path

from testbed.errors import ConfigError, did_you_mean

CAMPAIGN_FILE = "campaign.toml"
_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The folder in which ``experiments/`` and ``hwprofiles/`` lie: the checkout, or the copy inside the wheel."""
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "experiments").is_dir():
        return checkout
    return _PACKAGE / "_shipped"


def shipped(path: str) -> Path:
    """Where a file or folder of the tree is, e.g. ``experiments/labs/virtual.toml``.

    Raises:
        ConfigError: this installation does not have it.
    """
    found = root() / path
    if not found.exists():
        raise ConfigError(f"{path} does not travel with this installation", cure="Install the package anew")
    return found


def experiment(name: str) -> Path:
    """An experiment's folder: a path as it stands, or else the bare name of a shipped one, e.g. ``00-hello``.

    ``experiments/00-hello`` means the shipped one too where there is no such folder here.

    Raises:
        ConfigError: neither exists.
    """
    here = Path(name)
    if (here / CAMPAIGN_FILE).is_file():
        return here.resolve()
    if here.is_file():
        raise ConfigError("is no folder", file=name, cure=f"Give the folder with {CAMPAIGN_FILE} in it")
    if here.is_dir():
        raise ConfigError(
            f"no {CAMPAIGN_FILE} in this folder", file=name, cure="Give the folder of an experiment"
        )
    known = {file.parent.name: file.parent for file in (root() / "experiments").glob(f"*/{CAMPAIGN_FILE}")}
    if here.name in known and str(here.parent) in {".", "experiments"}:
        return known[here.name]
    raise ConfigError("no such experiment", file=name, cure=did_you_mean(here.name, known))


def lab(name: str) -> Path:
    """A lab file: a path as it stands, or else the bare name of a shipped one, e.g. ``virtual``.

    Raises:
        ConfigError: neither exists.
    """
    here = Path(name)
    if here.is_file():
        return here.resolve()
    if here.is_dir():
        raise ConfigError("is a folder", file=name, cure="Give the lab file in it")
    folder = root() / "experiments" / "labs"
    known = {file.stem: file for file in folder.glob("*.toml")}
    if here.name == name and here.stem in known:
        return known[here.stem]
    raise ConfigError("no such lab file", file=name, cure=did_you_mean(here.stem, known))
