"""The tree that makes a virtual machine a Jetson is one that the agent's own code takes for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drivers.agent.jetson import JetsonKnobs, identity
from drivers.agent.settings import BoardSettings, SettingError
from drivers.virtual.machine import jetson
from drivers.virtual.machine.config import TOOLS

if TYPE_CHECKING:
    from pathlib import Path

CLOCK = "clock:17000000.gpu"


def settings_of(root: Path) -> BoardSettings:
    return BoardSettings([JetsonKnobs(root, nvpmodel=str(root / TOOLS / "nvpmodel"))], root / "settings.json")


def test_the_agent_knows_it_and_its_settings(tmp_path: Path) -> None:
    jetson.lay_out(tmp_path)
    assert identity(tmp_path)["l4t"] == "36.4.3"
    settings = settings_of(tmp_path)
    assert settings.names() == ["power-mode", CLOCK]
    assert settings.read("power-mode") == "1 (25W)"
    assert settings.read(CLOCK) == "306000000:918000000:918000000"


def test_a_mode_sets_the_clock_and_both_are_put_back(tmp_path: Path) -> None:
    jetson.lay_out(tmp_path)
    settings = settings_of(tmp_path)
    settings.write(CLOCK, "408000000:408000000")
    assert settings.write("power-mode", "0") == "0 (15W)"
    assert settings.read(CLOCK) == "306000000:612000000:612000000"
    assert settings.restore() == []
    assert settings.read("power-mode") == "1 (25W)"
    assert settings.read(CLOCK) == "306000000:918000000:918000000"


def test_what_was_set_stays_when_it_is_laid_out_again(tmp_path: Path) -> None:
    jetson.lay_out(tmp_path)
    settings_of(tmp_path).write("power-mode", "2")
    jetson.lay_out(tmp_path)
    assert settings_of(tmp_path).read("power-mode") == "2 (MAXN_SUPER)"
    assert settings_of(tmp_path).read(CLOCK) == "306000000:1020000000:1020000000"


@pytest.mark.parametrize(
    ("mode", "why"), [("3", "needs a reboot"), ("8", "bad power mode 8. There are 0 (15W)")]
)
def test_what_the_tool_refuses_is_said(tmp_path: Path, mode: str, why: str) -> None:
    jetson.lay_out(tmp_path)
    settings = settings_of(tmp_path)
    with pytest.raises(SettingError) as caught:
        settings.write("power-mode", mode)
    assert why in str(caught.value)
    assert settings.read("power-mode") == "1 (25W)"
