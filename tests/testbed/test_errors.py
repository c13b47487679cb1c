from __future__ import annotations

import pytest

from testbed.errors import (
    BoardError,
    ConfigError,
    HostKeyError,
    LinkError,
    LocalWireError,
    StoreError,
    TestbedError,
    WireError,
    did_you_mean,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TestbedError("lost"), "lost"),
        (TestbedError("lost", cure="Look again"), "lost. Look again"),
        (ConfigError("bad", file="a.toml", key="x.y", cure="Fix it"), "a.toml: x.y: bad. Fix it"),
        (ConfigError("bad"), "bad"),
        (ConfigError("bad", key="x"), "x: bad"),
        (LinkError("refused", link="ssh://b"), "ssh://b: refused"),
        (BoardError("failed", board="b", traceback="…"), "b: failed"),
        (StoreError("torn", file="j.jsonl"), "j.jsonl: torn"),
    ],
)
def test_an_error_says_where_what_and_what_to_do(error, text):
    assert str(error) == text


def test_a_wrong_host_key_names_both_fingerprints_and_is_a_link_error():
    error = HostKeyError(link="ssh://b", seen="SHA256:new", expected="SHA256:old")
    assert isinstance(error, LinkError)
    assert "SHA256:new" in str(error)
    assert "SHA256:old" in str(error)
    first = HostKeyError(link="ssh://b", seen="SHA256:new")
    assert first.message == "host key SHA256:new is neither pinned nor in known_hosts"
    assert "fingerprint" in first.cure
    assert "reinstalled" not in first.cure


def test_whose_fault_a_wire_error_is_can_be_told():
    assert issubclass(LocalWireError, WireError)


def test_a_slip_is_corrected_and_anything_else_lists_what_there_is():
    assert did_you_mean("bauds", ["baud", "port"]) == "Did you mean 'baud'?"
    assert did_you_mean("zzz", ["port", "baud"]) == "Known: baud, port"
    assert did_you_mean("zzz", []) == ""
