"""What a description may not say, and that the overlay's own is sound."""

from __future__ import annotations

import pytest

from drivers.npu.description import OVERLAY, read_description
from testbed.errors import ConfigError

TEXT = (OVERLAY / "registers.toml").read_text("utf-8")


def test_the_overlay_describes_itself():
    described = read_description()
    assert described.parameters.rows % 8 == 0
    assert [fault.code for fault in described.errors] == list(range(len(described.errors)))
    assert {register.offset % 4 for register in described.registers} == {0}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("offset = 0x004", "offset = 0x000", "VERSION: overlaps"),
        ("offset = 0x004", "offset = 0x006", "VERSION: overlaps"),
        ("bits = [8, 15]", "bits = [7, 15]", "CAPS0.LANES: overlaps"),
        ("bits = [16, 31]", "bits = [16, 32]", "ACT_KWORDS"),
        ("opcode = 0x11", "opcode = 0x10", "command: the same"),
        ("code = 5", "code = 4", "error: the same"),
        ("window_bytes = 4096", "window_bytes = 64", "window_bytes"),
        ('access = "rw"', 'access = "maybe"', "maybe"),
        ("schema = 1", "schema = 2", "schema"),
        ("schema = 1", "schema", "registers.toml"),
        ("schema = 1", "schema = 1\nwindow = 1", "window"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, why):
    file = tmp_path / "registers.toml"
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1), "utf-8")
    with pytest.raises(ConfigError) as caught:
        read_description(file)
    assert why in str(caught.value)
    assert str(file) in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="checkout"):
        read_description(tmp_path / "none.toml")
