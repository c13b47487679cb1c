"""GPU settings, against a tool that behaves as the documentation says."""

from __future__ import annotations

import sys

import pytest

from drivers.agent.gpu import GpuKnobs
from drivers.agent.settings import BoardSettings, SettingError

SMI = f"""#!{sys.executable}
import sys
from pathlib import Path
here = Path(__file__).parent
args = sys.argv[1:]
(here / "calls").open("a").write(" ".join(args) + "\\n")
if args[0] == "--query-gpu=index":
    print("0\\n1")
elif args[2] == "--query-gpu=power.limit":
    print((here / ("limit" + args[1])).read_text().strip())
elif args[2] == "-pl":
    if float(args[3]) > 300:
        sys.exit("Provided power limit is not a valid power limit")
    (here / ("limit" + args[1])).write_text(args[3])
elif args[2] not in ("-lgc", "-rgc"):
    sys.exit("Invalid option")
"""


@pytest.fixture
def tool(tmp_path):
    path = tmp_path / "nvidia-smi"
    path.write_text(SMI)
    path.chmod(0o755)
    (tmp_path / "limit0").write_text("250.00")
    (tmp_path / "limit1").write_text("[N/A]")
    return path


def calls(tool):
    """What was asked of it, but for queries."""
    lines = (tool.parent / "calls").read_text().splitlines()
    return [line for line in lines if "--query-gpu" not in line]


def test_limit_and_clocks_are_set_and_put_back(tool):
    settings = BoardSettings([GpuKnobs(str(tool))])
    assert settings.names() == ["power-limit:0", "gpu-clocks:0", "power-limit:1", "gpu-clocks:1"]
    assert settings.write("power-limit:0", "200") == "200"
    assert settings.read("gpu-clocks:0") == "unlocked"
    assert settings.write("gpu-clocks:0", "1200:1300") == "1200:1300"
    assert settings.restore() == []
    assert settings.read("power-limit:0") == "250.00"
    assert settings.read("gpu-clocks:0") == "unlocked"
    assert calls(tool) == ["-i 0 -pl 200", "-i 0 -lgc 1200,1300", "-i 0 -rgc", "-i 0 -pl 250.00"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("power-limit:0", "200; reboot", "number of watts"),
        ("power-limit:0", "900", "not a valid power limit"),
        ("power-limit:1", "100", "tells no power limit"),
        ("gpu-clocks:0", "fast", "MIN:MAX"),
        ("gpu-clocks:0", "1300:1200", "MIN:MAX"),
        ("power-limit:../0", "1", "no setting"),
    ],
)
def test_what_is_wrong_is_said(tool, name, value, why):
    with pytest.raises(SettingError, match=why):
        BoardSettings([GpuKnobs(str(tool))]).write(name, value)


def test_without_the_tool_there_are_no_such_settings():
    assert GpuKnobs("nvidia-smi-is-not-here").names() == []
