from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time

import pytest

from drivers.boards.composition import Composition
from drivers.session.conversation import Conversation
from drivers.session.loading import Loader
from testbed.errors import BoardError
from testbed.wire import messages as m
from testbed.wire.claim import Claim


class Disk:
    """The far side's files."""

    def __init__(self, far_side, have=b""):
        self.files = {}
        self.have = have
        self.lose = set()
        self.pieces = 0
        far_side.replies[m.AskBlob] = lambda x: [self.state(x.sha256)]
        far_side.replies[m.PutBlob] = self.put
        far_side.replies[m.LoadModel] = lambda x: [m.Loaded(x.request, x.model, True, 123, 456, "")]
        far_side.replies[m.UnloadModel] = lambda x: [m.Loaded(x.request, x.model, True, 0, 0, "")]

    def state(self, sha, text=""):
        data = self.files.get(sha, self.have)
        # A file counts as whole once a piece has come that ends it, as on a real board.
        whole = hashlib.sha256(data).hexdigest() == sha and sha in self.files
        return m.BlobState(sha, len(data), whole, text)

    def put(self, piece):
        self.pieces += 1
        if self.pieces in self.lose:
            return []
        data = self.files.setdefault(piece.sha256, self.have)
        if piece.offset != len(data):
            return [self.state(piece.sha256, "expected another piece")]
        self.files[piece.sha256] = data + bytes(piece.data)
        return [self.state(piece.sha256)]


@contextlib.asynccontextmanager
async def loading(far_side, spec, **changes):
    parts = Composition(kind="t", make_link=lambda: far_side, piece_bytes=16384, **changes)
    await far_side.open()
    talk = Conversation(far_side, "board", 1, parts, lambda _: None, time.monotonic_ns)
    await talk.greet(Claim(1))
    async with asyncio.TaskGroup() as group:
        group.create_task(talk.run())
        try:
            yield Loader(spec, parts), talk
        finally:
            talk.end()


async def test_a_file_travels_once(far_side, make_spec):
    spec, disk = make_spec(), Disk(far_side)
    async with loading(far_side, spec) as (loader, talk):
        loaded = await loader.load(talk, "quick", 2)
        assert (loaded.load_ns, loaded.memory_bytes) == (123, 456)
        await loader.load(talk, "slow", 1)  # the same file
    (data,) = disk.files.values()
    assert data == spec.models["quick"].paths[0].read_bytes()
    assert disk.pieces == -(-len(data) // 16384)
    assert loader.resident == {"quick": 2, "slow": 1}


async def test_an_upload_is_resumed_where_it_stopped(far_side, make_spec):
    spec = make_spec()
    Disk(far_side, have=spec.models["quick"].paths[0].read_bytes()[:50_000])
    async with loading(far_side, spec) as (loader, talk):
        await loader.load(talk, "quick", 1)
    assert far_side.of(m.PutBlob)[0].offset == 50_000


async def test_a_file_that_is_all_there_but_not_finished_is_finished(far_side, make_spec):
    spec = make_spec()
    data = spec.models["quick"].paths[0].read_bytes()
    disk = Disk(far_side, have=data)
    async with loading(far_side, spec) as (loader, talk):
        await loader.load(talk, "quick", 1)
    assert [(p.offset, len(p.data)) for p in far_side.of(m.PutBlob)] == [(len(data), 0)]
    assert list(disk.files.values()) == [data]


async def test_lost_pieces_are_sent_again(far_side, make_spec):
    spec, disk = make_spec(), Disk(far_side)
    disk.lose = {2}
    async with loading(far_side, spec, lossy=True) as (loader, talk):
        await loader.load(talk, "quick", 1)
    (data,) = disk.files.values()
    assert data == spec.models["quick"].paths[0].read_bytes()


async def test_a_disk_that_takes_nothing_is_an_error_with_its_words(far_side, make_spec):
    Disk(far_side)
    far_side.replies[m.PutBlob] = lambda x: [m.BlobState(x.sha256, 0, False, "no space")]
    far_side.replies[m.AskBlob] = lambda x: [m.BlobState(x.sha256, 0, False, "")]
    async with loading(far_side, make_spec()) as (loader, talk):
        with pytest.raises(BoardError, match="no space"):
            await loader.load(talk, "quick", 1)
        assert loader.resident == {}


async def test_evicted_models_go_first_and_are_forgotten(far_side, make_spec):
    Disk(far_side)
    async with loading(far_side, make_spec()) as (loader, talk):
        await loader.load(talk, "quick", 1)
        await loader.load(talk, "slow", 1, ("quick",))
        assert loader.resident == {"slow": 1}
        await loader.restore(talk)
    assert [x.model for x in far_side.of(m.LoadModel)] == ["quick", "slow", "slow"]
    assert [x.model for x in far_side.of(m.UnloadModel)] == ["quick"]


async def test_a_runtime_and_its_options_can_be_laid_over_the_models(far_side, make_spec):
    Disk(far_side)
    changes = {"runtime": "paced", "load_options": lambda files: {"name": files.name}}
    async with loading(far_side, make_spec(), **changes) as (loader, talk):
        await loader.load(talk, "slow", 1)
    (order,) = far_side.of(m.LoadModel)
    assert (order.runtime, order.options["name"], order.options["sleep_ns"]) == ("paced", "slow", 50_000_000)
