from __future__ import annotations

import hashlib

import pytest

from drivers.agent.bundle import agent_source_sha256
from drivers.boards.agent_file import agent_name, pack_agent
from testbed.errors import BoardError


def test_the_name_is_the_hash_and_the_file_is_packed_once(tmp_path):
    path = pack_agent(tmp_path / "new")
    assert path.name == agent_name()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == agent_source_sha256()
    stamp = path.stat().st_mtime_ns
    assert pack_agent(tmp_path / "new").stat().st_mtime_ns == stamp
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BoardError, match="cannot be packed"):
        pack_agent(tmp_path / "file" / "below")
