from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.coordinator import lease_store
from testbed.coordinator.lease_store import LeaseStore, default_state, this_instant, this_process
from testbed.errors import LeaseError, StoreError
from testbed.model.lease import Holder
from testbed.units import S

ANN = Holder(user="ann", host="lab1", pid=11)
BOB = Holder(user="bob", host="lab1", pid=22)
BOTH = {"ssh://a:22": "a", "ssh://b:22": "b"}
LENGTH = 15 * S


@pytest.fixture
def store(tmp_path: Path) -> LeaseStore:
    return LeaseStore(tmp_path / "state")


def test_looking_makes_nothing(store: LeaseStore) -> None:
    assert store.read()[0] == {}
    assert not store.folder.exists()


def test_all_boards_or_none(store: LeaseStore) -> None:
    store.acquire({"ssh://b:22": "b"}, BOB, "run y", LENGTH)
    before = store.read()[0]
    with pytest.raises(
        LeaseError, match=r"^b is held by bob@lab1 process 22 \(run y\), unless prolonged"
    ) as caught:
        store.acquire(BOTH, ANN, "run x", LENGTH)
    assert "a is" not in str(caught.value)
    assert store.read()[0] == before
    store.release({"ssh://b:22": before["ssh://b:22"].token})
    held = store.acquire(BOTH, ANN, "run x", LENGTH)
    assert {lease.held.holder for lease in held.values() if lease.held} == {ANN}


def test_everybody_in_the_way_is_named(store: LeaseStore) -> None:
    store.acquire({"ssh://a:22": "x"}, BOB, "", LENGTH)
    store.reserve({"ssh://b:22": "y"}, BOB, "fan test", 7200 * S)
    with pytest.raises(
        LeaseError, match="a is held by bob.*; b is reserved by bob@lab1 .fan test., for another 1.. min"
    ):
        store.acquire(BOTH, ANN, "", LENGTH)


def test_a_heartbeat_of_several_is_all_or_none(store: LeaseStore) -> None:
    held = store.acquire(BOTH, ANN, "", LENGTH)
    tokens = {resource: lease.token for resource, lease in held.items()}
    store.give_back({"ssh://b:22": "b"}, BOB, force=True)
    with pytest.raises(
        LeaseError, match=r"^ssh://b:22: our lease is over: .* was broken by bob@lab1 process 22"
    ):
        store.renew(tokens)
    after = store.read()[0]["ssh://a:22"]
    assert after == held["ssh://a:22"]


def test_an_issuer_is_this_folder_for_this_board(store: LeaseStore, tmp_path: Path) -> None:
    store.acquire(BOTH, ANN, "", LENGTH)
    other = LeaseStore(tmp_path / "other")
    other.acquire(BOTH, ANN, "", LENGTH)
    issuers = {one.issuer(resource) for one in (store, other) for resource in BOTH}
    assert len(issuers) == 4
    assert all(len(issuer) == 16 for issuer in issuers)
    assert LeaseStore(store.folder).issuer("ssh://a:22") == store.issuer("ssh://a:22")


def test_a_groups_folder_makes_files_of_the_group(store: LeaseStore) -> None:
    store.folder.mkdir()
    store.folder.chmod(0o2770)
    store.acquire(BOTH, ANN, "", LENGTH)
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.folder.iterdir()}
    assert modes == {"leases.json": 0o660, "leases.lock": 0o660}


def test_a_damaged_file_is_not_overwritten(store: LeaseStore) -> None:
    store.acquire(BOTH, ANN, "", LENGTH)
    file = store.folder / "leases.json"
    file.write_text('{"issuer": "x", "boards": ')
    with pytest.raises(StoreError, match="is damaged"):
        store.acquire(BOTH, ANN, "", LENGTH)
    file.write_text(json.dumps({"issuer": "x", "schema": 9}))
    with pytest.raises(StoreError, match="schema 9"):
        store.read()


def test_waiting_for_the_lock_is_bounded(store: LeaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.acquire(BOTH, ANN, "", LENGTH)
    monkeypatch.setattr(lease_store, "LOCK_LIMIT", S // 10)
    fd = os.open(store.folder / "leases.lock", os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="does not let go"):
            store.acquire(BOTH, BOB, "", LENGTH)
    finally:
        os.close(fd)


def test_a_folder_that_cannot_be_made_is_said_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="state"):
        LeaseStore(tmp_path / "file" / "state").acquire(BOTH, ANN, "", LENGTH)


GREEDY = """
import sys
from pathlib import Path
from testbed.coordinator.lease_store import LeaseStore, this_process
from testbed.errors import LeaseError
from testbed.units import S

store, got = LeaseStore(Path(sys.argv[1])), []
names = {f"r{i}": f"r{i}" for i in map(int, sys.argv[2])}
while len(got) < 40:
    try:
        held = store.acquire(names, this_process(), "", 60 * S)
    except LeaseError:
        continue
    got.extend(leases.token for leases in held.values())
    store.release({name: leases.token for name, leases in held.items()})
print(*got)
"""


def test_processes_that_want_overlapping_boards_all_get_them_with_distinct_tokens(store: LeaseStore) -> None:
    wants = ("01", "12", "20")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", GREEDY, str(store.folder), want], stdout=subprocess.PIPE, text=True
        )
        for want in wants
    ]
    told = [[int(token) for token in process.communicate(timeout=60)[0].split()] for process in running]
    for want, tokens in zip(wants, told, strict=True):
        for i in range(len(want)):
            assert tokens[i::2] == sorted(set(tokens[i::2])), "of one board, in order"
    boards, _ = store.read()
    assert all(leases.held is None for leases in boards.values())
    for i in range(3):
        of_board = [
            t for w, ts in zip(wants, told, strict=True) if str(i) in w for t in ts[w.index(str(i)) :: 2]
        ]
        assert len(of_board) == len(set(of_board))


def test_the_default_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state() == tmp_path / "testbed"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_state() == tmp_path / ".local/state/testbed"


def test_this_process_and_this_instant() -> None:
    assert this_process().pid == os.getpid()
    first, second = this_instant(), this_instant()
    assert first.boot_id == second.boot_id
    assert 0 < first.boot <= second.boot
