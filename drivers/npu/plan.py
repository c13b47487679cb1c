"""Where everything lies and when it is fetched: activations by lifetime, weights resident or streamed.

If all weights and parameters fit, they are loaded once (setup list) and stay. Else each convolution, cut into
pieces that fit half of the memories, finds its weights in one half while the next ones come into the other; a
LOAD stands right behind the convolution it runs beside, but behind an exit that may make it needless.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drivers.npu.graph import UnsupportedError
from drivers.npu.isa import LANES, ROWS, UNIT_BYTES, Base, Command, Conv, End, Exit, Load, Memory, Overlay
from drivers.npu.lower import Lowered, Step
from drivers.npu.packing import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Sequence

ALIGNMENT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A tensor in activation memory: words needed, first and last step that touches it (-1: the input)."""

    name: str
    words: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Command lists whose program offsets count from ``data``, and the sizes they need."""

    setup: tuple[Command, ...]
    run: tuple[Command, ...]
    data: bytes
    act_words: int
    wgt_words: int
    par_channels: int


def lives(steps: Sequence[Step], source: str, words: int) -> list[Life]:
    """Lifetimes of the input and of everything that steps write."""
    sizes, first, last = {source: words}, {source: -1}, {source: -1}
    for index, step in enumerate(steps):
        for name in step.reads.values():
            last[name] = index
        if step.writes:
            first.setdefault(step.writes, index)
            last[step.writes] = index
            sizes[step.writes] = max(sizes.get(step.writes, 0), step.offset + step.words)
    return [Life(name=name, words=sizes[name], first=first[name], last=last[name]) for name in sizes]


def place(tensors: Sequence[Life], capacity: int) -> dict[str, int]:
    """Addresses so that no two tensors that live together overlap: the largest first, each as low as it goes.

    Raises:
        UnsupportedError: they do not fit ``capacity`` words.
    """
    placed: list[tuple[int, Life]] = []
    for life in sorted(tensors, key=lambda item: (-item.words, item.first)):
        address = 0
        beside = [p for p in placed if p[1].first <= life.last and life.first <= p[1].last]
        for start, other in sorted(beside, key=lambda item: item[0]):
            if address + life.words <= start:
                break
            address = max(address, start + other.words)
        if address + life.words > capacity:
            together = sum(other.words for _, other in beside) + life.words
            raise UnsupportedError(
                "Tensor",
                life.name,
                f"{life.words} words of 8 channels",
                f"with what lives beside it takes up to {together} words, the activation memory has {capacity}",
                cure="Use a smaller input or fewer channels, or build the overlay with more activation memory",
            )
        placed.append((address, life))
    return {life.name: address for address, life in placed}


def plan(lowered: Lowered, overlay: Overlay, *, stream: bool = False) -> Plan:
    """Command lists for ``overlay``; ``stream`` asks for streamed weights even if they would fit.

    Raises:
        UnsupportedError: activations, or the weights of 16 output channels, do not fit.
    """
    steps: Sequence[Step] = lowered.steps
    weights = sum(len(step.weights) for step in steps) // UNIT_BYTES[Memory.WGT]
    channels = sum(len(step.parameters) for step in steps) // UNIT_BYTES[Memory.PAR]
    resident = not stream and weights <= overlay.wgt_words and channels <= overlay.par_channels
    if not resident:
        half, half_channels = overlay.wgt_words // 2, overlay.par_channels // 2
        steps = [piece for step in steps for piece in split(step, half, half_channels)]
    if len(lowered.tables) > overlay.tables:
        shape = f"{len(lowered.tables)} scales"
        raise UnsupportedError("Exit", "", shape, f"the overlay has {overlay.tables} confidence tables")
    source = lowered.network.input
    tensors = lives(steps, source.name, source.words)
    where = place(tensors, overlay.act_words)
    writer = _Writer(where, lowered)
    if resident:
        writer.resident(steps)
    else:
        writer.streamed(steps, overlay)
    return Plan(
        setup=tuple(writer.setup),
        run=(*writer.run, End(exit=len(lowered.exits) - 1)),
        data=bytes(writer.data),
        act_words=max(where[life.name] + life.words for life in tensors),
        wgt_words=writer.wgt_words,
        par_channels=writer.par_channels,
    )


class _Writer:
    """Command lists as they grow, and which loads were not waited for yet."""

    def __init__(self, where: dict[str, int], lowered: Lowered) -> None:
        self.setup: list[Command] = []
        self.run: list[Command] = []
        self.data = bytearray()
        self.wgt_words = self.par_channels = 0
        self._where = where
        self._lowered = lowered
        self._unwaited: set[Memory] = set()

    def resident(self, steps: Sequence[Step]) -> None:
        """Everything but the input is loaded by ``setup``."""
        weights = b"".join(step.weights for step in steps)
        parameters = b"".join(step.parameters for step in steps)
        self.setup += [self._load(Memory.WGT, weights, 0), self._load(Memory.PAR, parameters, 0)]
        self.setup += self._tables()
        self.setup.append(End())
        self._input()
        word = channel = 0
        for step in steps:
            self._compute(step, word, channel)
            word += len(step.weights) // UNIT_BYTES[Memory.WGT]
            channel += len(step.parameters) // UNIT_BYTES[Memory.PAR]
        self.wgt_words, self.par_channels = word, channel

    def streamed(self, steps: Sequence[Step], overlay: Overlay) -> None:
        """Weights of one convolution come while the one before is computed, into the other half."""
        halves = overlay.wgt_words // 2, overlay.par_channels // 2
        convolutions = [index for index, step in enumerate(steps) if step.weights]
        places = {index: turn % 2 for turn, index in enumerate(convolutions)}
        # Behind which step the weights of a convolution are asked for.
        after: dict[int, int] = {}
        for earlier, later in itertools.pairwise(convolutions):
            exits = [i for i in range(earlier, later) if isinstance(steps[i].command, Exit)]
            after[exits[-1] if exits else earlier] = later
        self._fetch(steps, convolutions[0], places, halves)
        self._input()
        for index, step in enumerate(steps):
            half = places.get(index, 0)
            self._compute(step, half * halves[0], half * halves[1])
            if index == 0:
                self._issue(*self._tables())
            if index in after:
                self._fetch(steps, after[index], places, halves)

    def _fetch(
        self, steps: Sequence[Step], index: int, places: dict[int, int], halves: tuple[int, int]
    ) -> None:
        step, half = steps[index], places[index]
        word, channel = half * halves[0], half * halves[1]
        self._issue(
            self._load(Memory.PAR, step.parameters, channel, step.tag),
            self._load(Memory.WGT, step.weights, word, step.tag),
        )
        self.wgt_words = max(self.wgt_words, word + len(step.weights) // UNIT_BYTES[Memory.WGT])
        self.par_channels = max(self.par_channels, channel + len(step.parameters) // UNIT_BYTES[Memory.PAR])

    def _input(self) -> None:
        source = self._lowered.network.input
        _, height, width = source.shape
        self._issue(
            Load(
                memory=Memory.ACT,
                base=Base.INPUT,
                offset=0,
                address=self._where[source.name],
                length=source.words * UNIT_BYTES[Memory.ACT],
                masked=1,
                rows=height,
                width=width,
                neutral=source.zero_point,
            )
        )

    def _tables(self) -> list[Load]:
        return [self._load(Memory.TAB, table, index) for index, table in enumerate(self._lowered.tables)]

    def _load(self, memory: Memory, content: bytes, address: int, tag: int = 0) -> Load:
        self.data += bytes(-len(self.data) % ALIGNMENT)
        offset = len(self.data)
        self.data += content
        return Load(memory=memory, offset=offset, address=address, length=len(content), tag=tag)

    def _issue(self, *loads: Load) -> None:
        self.run += loads
        self._unwaited |= {Memory(load.memory) for load in loads}

    def _compute(self, step: Step, word: int, channel: int) -> None:
        command = step.command
        fields = {field: self._where[name] for field, name in step.reads.items()}
        needs = {Memory.ACT}  # only the input comes by a load, before everything else
        if step.writes:
            fields["target"] = self._where[step.writes] + step.offset
        if isinstance(command, Conv):
            fields |= {"weights": word, "channel": channel}
            needs |= {Memory.WGT, Memory.PAR}
        if isinstance(command, Exit):
            needs.add(Memory.TAB)
        waits = bool(needs & self._unwaited)
        if waits:
            self._unwaited.clear()
        self.run.append(replace(command, wait_dma=waits, **fields))  # type: ignore[arg-type] # addresses


def split(step: Step, wgt_words: int, par_channels: int) -> list[Step]:
    """A convolution as several over fewer output groups each, so that weights and parameters fit; else as it is.

    Raises:
        UnsupportedError: the weights of 16 outputs alone do not fit.
    """
    command = step.command
    if not isinstance(command, Conv):
        return [step]
    taps = command.in_groups * command.kernel**2
    most = min(wgt_words // taps, par_channels // ROWS)
    if most < 1:
        shape = f"{command.in_groups * LANES} channels, kernel {command.kernel}"
        reason = f"weights of {ROWS} outputs take {taps} words, and {wgt_words} are free for a piece"
        raise UnsupportedError(step.op, step.name, shape, reason)
    pieces = []
    area = command.out_height * command.out_width
    group_bytes, channel_bytes = taps * ROWS * LANES, ROWS * PARAMETERS.itemsize
    for first in range(0, command.out_groups, most):
        groups = min(most, command.out_groups - first)
        pieces.append(
            replace(
                step,
                macs=step.macs * groups // command.out_groups,
                command=replace(command, out_groups=groups),
                words=groups * ROWS // LANES * area,
                offset=first * ROWS // LANES * area,
                weights=step.weights[first * group_bytes : (first + groups) * group_bytes],
                parameters=step.parameters[first * channel_bytes : (first + groups) * channel_bytes],
            )
        )
    return pieces
