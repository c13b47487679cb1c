from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from testbed.coordinator.labfile import LabFile, read_lab
from testbed.coordinator.lease_store import LeaseStore, default_state, this_instant
from testbed.coordinator.leasing import Leasing, resources_of, store_of
from testbed.errors import ConfigError, LeaseError, StoreError
from testbed.model.lease import Holder, Instant
from testbed.units import S

BOB = Holder(user="bob", host="lab1", pid=22)
BOARDS = {"a": "ssh://a:22", "b": "ssh://b:22"}
LAB = """
schema = 1
name = "x"
state = "leases"
[boards.a]
kind = "k"
site = "edge"
models = []
[boards.b]
kind = "k"
site = "edge"
models = []
"""


@pytest.fixture
def store(tmp_path: Path) -> LeaseStore:
    return LeaseStore(tmp_path / "state")


def lab_of(folder: Path, text: str = LAB) -> LabFile:
    (folder / "lab.toml").write_text(text)
    return read_lab(folder / "lab.toml")


def boards(**resources: str) -> Any:
    return {name: SimpleNamespace(resource=resource) for name, resource in resources.items()}


async def until(what: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 - a file tells nobody that it has changed
            await asyncio.sleep(0.01)


def test_a_lab_says_where_its_leases_stand(tmp_path: Path) -> None:
    assert store_of(lab_of(tmp_path)).folder == tmp_path / "leases"
    assert store_of(lab_of(tmp_path, LAB.replace('state = "leases"\n', ""))).folder == default_state()


def test_what_exists_for_its_run_only_is_leased_only_where_the_lab_says_so(tmp_path: Path) -> None:
    assert resources_of(lab_of(tmp_path), boards(a="ssh://a:22", b="")) == {"a": "ssh://a:22"}
    named = lab_of(tmp_path, LAB + 'lease = "bench 1"\n')
    assert resources_of(named, boards(a="", b="")) == {"b": "lease:bench 1"}


def test_one_device_twice_in_a_lab_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="boards.b: is the same device as a: ssh://a:22"):
        resources_of(lab_of(tmp_path), boards(a="ssh://a:22", b="ssh://a:22"))


async def test_nothing_to_lease_touches_nothing(store: LeaseStore) -> None:
    leasing = Leasing(store, {}, length_s=15)
    assert await leasing.acquire() == {}
    await leasing.check()
    await leasing.release()
    assert not store.folder.exists()


async def test_what_a_driver_needs_comes_with_the_lease_and_all_ends_with_release(store: LeaseStore) -> None:
    leasing = Leasing(store, BOARDS, length_s=15, purpose="run x")
    grants = await leasing.acquire()
    assert set(grants) == {"a", "b"}
    assert grants["a"].fence == store.read()[0]["ssh://a:22"].token
    assert grants["a"].holder.endswith(" run x")
    assert grants["a"].ttl == 15 * S
    assert grants["a"].issuer != grants["b"].issuer
    with pytest.raises(LeaseError, match="a is held by"):
        await Leasing(store, BOARDS, length_s=15).acquire()
    leasing.stand("a", "quarantined: silent")
    leasing.stand("no board of ours", "lost")
    await leasing.check()  # behind it in the same thread
    told = {resource: board.held for resource, board in store.read()[0].items()}
    assert [held.standing for held in told.values() if held is not None] == ["quarantined: silent", ""]
    await leasing.release()
    await leasing.release()
    leasing.stand("a", "lost")
    again = Leasing(store, BOARDS, length_s=15)
    newer = await again.acquire()
    assert newer["a"].fence > grants["a"].fence
    assert newer["a"].issuer == grants["a"].issuer
    await again.release()


async def test_the_heartbeat_keeps_it_and_without_one_the_next_holder_is_told_whose_it_was(
    tmp_path: Path,
) -> None:
    skipped = 0

    def now() -> Instant:
        real = this_instant()
        return msgspec.structs.replace(real, boot=real.boot + skipped, wall=real.wall + skipped)

    store = LeaseStore(tmp_path / "state", now=now)
    leasing = Leasing(store, BOARDS, length_s=0.3, who=BOB, purpose="run y")
    await leasing.acquire()
    ends = [lease.held.until for lease in store.read()[0].values() if lease.held]
    await until(lambda: all(x.held and x.held.until > max(ends) for x in store.read()[0].values()))
    assert leasing._beating is not None
    leasing._beating.cancel()  # kill -9 ends nothing else
    skipped = 60 * S
    following = Leasing(store, {"a": BOARDS["a"]}, length_s=15)
    grant = (await following.acquire())["a"]
    assert "before that the lease of bob@lab1 process 22 (run y)" in grant.note
    assert " expired at " in grant.note
    await following.release()
    await leasing.release()


async def test_a_lease_that_somebody_broke_is_told_at_the_next_heartbeat(store: LeaseStore) -> None:
    lost: list[LeaseError] = []
    leasing = Leasing(store, BOARDS, length_s=0.3, on_lost=lost.append)
    await leasing.acquire()
    store.give_back({"ssh://b:22": "b"}, BOB, force=True)
    await until(lambda: lost)
    assert str(lost[0]).startswith("b: our lease is over")
    assert leasing.lost is lost[0]
    with pytest.raises(LeaseError, match="was broken by bob"):
        await leasing.check()
    await leasing.release()


async def test_a_disk_that_fails_for_a_moment_loses_nothing_and_for_long_the_lease(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[LeaseError] = []
    leasing = Leasing(store, BOARDS, length_s=1.5, on_lost=lost.append)
    await leasing.acquire()
    real, refused = store.renew, list[int]()

    def fails_once(tokens: dict[str, int]) -> None:
        if not refused:
            refused.append(1)
            raise StoreError("no space")
        real(tokens)
        refused.append(2)

    monkeypatch.setattr(store, "renew", fails_once)
    await until(lambda: len(refused) > 1 or lost)
    assert not lost

    def fails(tokens: dict[str, int]) -> None:
        raise StoreError("no space")

    monkeypatch.setattr(store, "renew", fails)
    await until(lambda: lost)
    assert "could not be prolonged" in str(lost[0])
    await leasing.release()


async def test_who_is_interrupted_while_taking_leaves_nothing_taken(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop, real = asyncio.get_running_loop(), store.acquire

    def slow(*args: Any) -> Any:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        return real(*args)

    monkeypatch.setattr(store, "acquire", slow)
    leasing = Leasing(store, BOARDS, length_s=60)
    taking = asyncio.create_task(leasing.acquire())
    await begun.wait()
    taking.cancel()
    loop.call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await taking
    await leasing.release()
    assert all(lease.held is None for lease in store.read()[0].values())
