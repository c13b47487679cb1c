"""Makes models resident: files by hash, in pieces, resumed where an earlier upload stopped, then the load itself."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING

from testbed.errors import BoardError
from testbed.units import MS, S
from testbed.wire import messages as m

if TYPE_CHECKING:
    from pathlib import Path

    from drivers.boards.composition import Composition
    from drivers.session.conversation import Conversation
    from testbed.model.lab import BoardSpec
    from testbed.units import Ns

_WINDOW_PIECES = 8  # on a lossy line one at a time: it costs 5 % there and loses no more than one
_RATE_FROM_BYTES = 64 * 1024
_RATE_FROM_S = 1e-3
_STALL = 20 * S
_TRIES = 5


class Loader:
    """Loads and unloads over whatever conversation there is, and remembers what should be resident.

    Attributes:
        resident: model to number of instances, as ordered; survives the loss of a connection.
    """

    def __init__(self, spec: BoardSpec, composition: Composition) -> None:
        """Nothing is resident."""
        self.resident: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        self._spec = spec
        self._parts = composition

    async def load(
        self, talk: Conversation, model: str, instances: int, evict: tuple[str, ...] = ()
    ) -> m.Loaded:
        """Evict, upload what is missing, load.

        Raises:
            BoardError: unknown model, a file that is not what its hash says, no room for it, or the agent refused.
            LinkError: the link was lost.
        """
        files = self._spec.models.get(model)
        if files is None:
            cure = "Add the model to the board's list in the lab file"
            raise BoardError(f"model {model} is not one of this board's", board=self._spec.id, cure=cure)
        limit = self._parts.common.load_timeout_ms * MS
        for old in evict:
            self.resident.pop(old, None)
            await self._unload(talk, old, limit)
        for path, sha256 in zip(files.paths, files.sha256, strict=True):
            await self._upload(talk, path, sha256)
        options = dict(files.options)
        if self._parts.load_options is not None:
            options |= self._parts.load_options(files)
        runtime = self._parts.runtime or files.runtime
        loaded: m.Loaded = await talk.questions.ask(
            lambda number: m.LoadModel(number, model, files.sha256, runtime, options, instances), limit
        )
        if not loaded.ok:
            raise BoardError(f"{model} could not be loaded: {loaded.text}", board=self._spec.id)
        self._bytes[model] = loaded.memory_bytes
        used = loaded.memory_bytes + sum(self._bytes.get(name, 0) for name in self.resident if name != model)
        if self._spec.memory_bytes is not None and used > self._spec.memory_bytes:
            await self._unload(talk, model, limit)
            self.resident.pop(model, None)
            raise BoardError(
                f"{model} does not fit: {used} of {self._spec.memory_bytes} bytes",
                board=self._spec.id,
                cure="Evict another model first, or raise memory_bytes in the lab file",
            )
        self.resident[model] = instances
        return loaded

    async def restore(self, talk: Conversation) -> tuple[tuple[str, int], ...]:
        """Load again what was resident before the connection was lost.

        Raises:
            BoardError: a model that was resident cannot be loaded any more. LinkError: the link was lost.
        """
        for model, instances in list(self.resident.items()):
            await self.load(talk, model, instances)
        return tuple(self.resident.items())

    async def _unload(self, talk: Conversation, model: str, limit: Ns) -> None:
        await talk.questions.ask(lambda number: m.UnloadModel(number, model), limit)

    async def _upload(self, talk: Conversation, path: Path, sha256: str) -> None:
        """Bring one file to the board unless it is there.

        A board that dropped a damaged file, or a line that lost a piece, is asked how much it has, and the upload
        goes on from there.
        """
        state = await talk.questions.ask_file(sha256, _STALL)
        if state.complete:
            return
        data = await asyncio.to_thread(_read_checked, path, sha256, self._spec.id)
        stalled = 0
        while True:
            before = state.have
            state = await self._send_pieces(talk, data, state, sha256)
            if state.complete:
                break
            stalled = 0 if state.have > before else stalled + 1
            if stalled > _TRIES:
                text = f"{path.name} does not get to the board: {state.text or 'it takes no more'}"
                raise BoardError(text, board=self._spec.id, cure="See whether the board's disk is full")

    async def _send_pieces(
        self, talk: Conversation, data: bytes, state: m.BlobState, sha256: str
    ) -> m.BlobState:
        """Send from where the board stands, a window at a time; the last state it told."""
        size, total = self._parts.piece_bytes, len(data)
        window = size * (1 if self._parts.lossy else _WINDOW_PIECES)
        patience = _STALL
        if self._parts.lossy:
            patience = S // 2 + round(4 * size * S / (self._parts.line_bytes_per_s or 1e6))
        sent = have = state.have
        if have >= total:
            # All bytes are there but the file was never completed (an agent that died in between): an empty
            # piece has the agent check, complete or drop it.
            talk.put_piece(m.PutBlob(sha256, total, have, b""))
            return await talk.questions.hear_of_file(sha256, patience)
        first: tuple[int, float] | None = None
        while have < total:
            while sent < total and sent - have < window:
                part = data[sent : sent + size]
                talk.put_piece(m.PutBlob(sha256, total, sent, part))
                sent += len(part)
            try:
                state = await talk.questions.hear_of_file(sha256, patience)
            except BoardError:
                if self._parts.lossy:
                    return await talk.questions.ask_file(sha256, _STALL)
                raise
            if state.have <= have or state.text:
                return state
            have = state.have
            first = first or (have, time.perf_counter())
            self._tell_rate(talk, have - first[0], time.perf_counter() - first[1])
            if state.complete:
                return state
        return await talk.questions.ask_file(sha256, _STALL)

    def _tell_rate(self, talk: Conversation, size: int, took: float) -> None:
        """Between two acknowledgements the round trip cancels out; what was too quick to time tells nothing."""
        if self._parts.line_bytes_per_s is None and size >= _RATE_FROM_BYTES and took >= _RATE_FROM_S:
            talk.set_rate(size / took)


def _read_checked(path: Path, sha256: str, board: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BoardError(f"model file {path} cannot be read: {error}", board=board) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        text = f"model file {path.name} hashes to {found[:12]}…, not {sha256[:12]}…"
        raise BoardError(
            text, board=board, cure="Restore the file, or update the catalogue if the change was meant"
        )
    return data
