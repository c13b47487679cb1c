from __future__ import annotations

import os

from drivers.virtual.meters.sysfs import SysfsTree


def test_a_shorter_number_leaves_no_digits_behind(tmp_path):
    tree = SysfsTree(tmp_path, {"a/b": 12345})
    fd = os.open(tmp_path / "a/b", os.O_RDONLY)
    assert os.pread(fd, 32, 0) == b"12345\n"
    tree.put("a/b", 7)
    assert os.pread(fd, 32, 0) == b"7\n"
    tree.hide()
    assert os.pread(fd, 32, 0) == b""
    os.close(fd)


def test_what_is_hidden_comes_back_as_last_shown(tmp_path):
    tree = SysfsTree(tmp_path, {"a": 1})
    tree.hide()
    tree.put("a", 2)
    assert not (tmp_path / "a").exists()
    tree.restore()
    assert (tmp_path / "a").read_text() == "2\n"
    tree.disturb("a", "what")
    assert (tmp_path / "a").read_text() == "what"
