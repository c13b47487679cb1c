from __future__ import annotations

import pytest

from testbed.cli.arguments import again, either, numbers
from testbed.errors import ConfigError


def test_a_word_in_its_place_or_by_its_name():
    assert either("jetson", None, "--board") == either(None, "jetson", "--board") == "jetson"
    assert either("jetson", "jetson", "--board") == "jetson"
    with pytest.raises(ConfigError, match="'a' and 'b'"):
        either("a", "b", "--board")
    with pytest.raises(ConfigError, match="--board: is missing"):
        either(None, None, "--board")


def test_numbers_by_commas_or_several_times():
    assert numbers(["1,2", "4"], "--batch") == (1, 2, 4)
    assert numbers(["4", "1", "4"], "--batch") == (1, 4)
    for wrong in ("0", "-1", "x", "1,,2", "1.5", ""):
        with pytest.raises(ConfigError, match="--batch"):
            numbers([wrong], "--batch")


def test_the_same_command_again(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/x/__main__.py", "profile", "near", "--out", "my dir/m.toml"])
    assert again("--resume") == "testbed profile near --out 'my dir/m.toml' --resume"
    monkeypatch.setattr("sys.argv", ["testbed", "profile", "--resume", "near"])
    assert again("--resume") == "testbed profile --resume near"
