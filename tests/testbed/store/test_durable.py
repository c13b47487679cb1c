"""A file is there as a whole or as it was before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.errors import StoreError
from testbed.store.durable import write_all, write_atomically


def test_a_file_is_made_with_its_folder_and_replaced_as_a_whole(tmp_path):
    file = tmp_path / "new" / "a.json"
    write_atomically(file, b"one")
    write_atomically(file, b"two")
    assert file.read_bytes() == b"two"
    assert list(file.parent.iterdir()) == [file]


def test_what_could_not_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    write_atomically(file, b"one")

    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StoreError, match="a.json: cannot be written: No space left"):
        write_atomically(file, b"two")
    assert file.read_bytes() == b"one"


def test_a_kernel_that_takes_less_at_a_time_gets_it_all(tmp_path, monkeypatch):
    file = tmp_path / "a"
    fd, write = os.open(file, os.O_WRONLY | os.O_CREAT), os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:7]))
    write_all(fd, b"x" * 20, file)
    os.close(fd)
    assert file.read_bytes() == b"x" * 20


def test_a_full_disk_is_a_store_error_with_the_files_name(tmp_path):
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(StoreError, match="a.json: cannot be written: No space left"):
        write_all(full, b"x", tmp_path / "a.json")
    os.close(full)
