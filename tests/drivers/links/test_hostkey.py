from __future__ import annotations

import paramiko
import pytest

from drivers.links.endpoint import Endpoint, SshConfig
from drivers.links.hostkey import accepts, dial, known_keys, refusal, wanted_kinds
from testbed.errors import LinkError

MINE = paramiko.ECDSAKey.generate()
THEIRS = paramiko.ECDSAKey.generate()


def endpoint(host="board", port=22, **changes):
    fields = {"user": "u", "identities": (), "known_hosts": (), "jump": ()}
    return Endpoint(host=host, port=port, **fields | changes)


def test_a_pin_trusts_one_key_and_nothing_else():
    config = SshConfig(host="board", fingerprint=MINE.fingerprint)
    assert accepts(config, {}, MINE)
    assert not accepts(config, {THEIRS.get_name(): THEIRS}, THEIRS)


def test_without_a_pin_only_known_keys_are_trusted():
    config = SshConfig(host="board")
    assert accepts(config, {MINE.get_name(): MINE}, MINE)
    assert not accepts(config, {MINE.get_name(): MINE}, THEIRS)
    assert not accepts(config, {}, MINE)


def test_refusal_names_both_fingerprints():
    error = refusal(SshConfig(host="board"), {MINE.get_name(): MINE}, THEIRS)
    assert (error.seen, error.expected) == (THEIRS.fingerprint, MINE.fingerprint)


@pytest.mark.parametrize(("port", "name"), [(22, "board"), (2222, "[board]:2222")])
def test_known_hosts_are_looked_up_by_host_and_port(tmp_path, port, name):
    file = tmp_path / "known_hosts"
    file.write_text(f"{name} {MINE.get_name()} {MINE.get_base64()}\n")
    found = known_keys(SshConfig(host="board"), endpoint(port=port, known_hosts=(file,)))
    assert found[MINE.get_name()] == MINE
    assert known_keys(SshConfig(host="board"), endpoint(port=1, known_hosts=(file,))) == {}


def test_known_kinds_are_asked_for_first():
    first, *_ = wanted_kinds(SshConfig(host="board"), {MINE.get_name(): MINE})
    assert first == (MINE.get_name(),)


def test_nobody_there_is_a_link_error_with_a_cure():
    with pytest.raises(LinkError, match="refused the connection") as caught:
        dial(SshConfig(host="127.0.0.1"), endpoint(host="127.0.0.1", port=1))
    assert caught.value.cure
