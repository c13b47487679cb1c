"""Commands of the edge NPU: 64 bytes each, sixteen little-endian 32-bit words; docs/edge-npu.md is the reference.

Word 0 is opcode [7:0], flags [15:8] (bit 0 ``wait_dma``, bit 1 ``wait_compute``) and tag [31:16] in every
command; the ``FIELDS`` of a class say where the rest lies, and are all that encoding and decoding know.
Commands issue in list order. A computation issues when the one before it has ended, a transfer when the one
before it has; both engines run beside each other unless a flag says wait.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMAND_BYTES = 64
ROWS, LANES = 16, 8
WORD_BYTES = LANES
ALWAYS, NEVER = 0xFFFFFFFF, 0
RECORD_BYTES = 128
RECORD_MAGIC = 0x4E505552
CLASSES_MOST = 64
_WORDS = struct.Struct("<16I")


class CommandError(TestbedError):
    """A command that the device would refuse: unknown opcode, a value out of its field, an address outside."""


class Memory(IntEnum):
    """On-chip memories, and in ``UNIT_BYTES`` what one address step is there."""

    ACT = 0
    WGT = 1
    PAR = 2
    TAB = 3


class Base(IntEnum):
    """What an offset in DDR counts from: the register PROGRAM_BASE, INPUT_BASE or OUTPUT_BASE."""

    PROGRAM = 0
    INPUT = 1
    OUTPUT = 2


# One word of 8 activations, one of 16 x 8 weights, the parameters of one channel, one confidence table.
UNIT_BYTES = {Memory.ACT: 8, Memory.WGT: ROWS * LANES, Memory.PAR: 16, Memory.TAB: 512}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """Sizes of a built overlay, in the units of ``UNIT_BYTES``; the defaults are those of the xc7z020 build."""

    act_words: int = 16384
    wgt_words: int = 1024
    par_channels: int = 512
    tables: int = 4

    def size(self, memory: Memory) -> int:
        """Units that ``memory`` holds."""
        return (self.act_words, self.wgt_words, self.par_channels, self.tables)[memory]


class Field(NamedTuple):
    """Where a value lies: word 1 to 15, lowest bit, width."""

    name: str
    word: int
    low: int = 0
    bits: int = 32
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What every command carries. ``tag`` comes back in error reports: the compiler's layer number."""

    OPCODE: ClassVar[int]
    FIELDS: ClassVar[tuple[Field, ...]]
    TRANSFER: ClassVar[bool] = False

    wait_dma: bool = False
    wait_compute: bool = False
    tag: int = 0

    def encode(self) -> bytes:
        """The command's 64 bytes.

        Raises:
            CommandError: a value does not fit its field.
        """
        words = [0] * 16
        words[0] = self.OPCODE | self.wait_dma << 8 | self.wait_compute << 9
        for field in (*self.FIELDS, _TAG):
            value = int(getattr(self, field.name))
            least = -(1 << (field.bits - 1)) if field.signed else 0
            most = (1 << (field.bits - field.signed)) - 1
            if not least <= value <= most:
                raise CommandError(
                    f"{type(self).__name__}: {field.name} {value} is outside {least}..{most} ({field.bits} bits)"
                )
            words[field.word] |= (value & ((1 << field.bits) - 1)) << field.low
        return _WORDS.pack(*words)


_TAG = Field("tag", 0, 16, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Command):
    """Wait for everything, write the result record, set DONE."""

    OPCODE: ClassVar[int] = 0x00
    FIELDS: ClassVar[tuple[Field, ...]] = (Field("exit", 1),)

    exit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Command):
    """Copy ``length`` bytes from DDR into a memory.

    With ``masked`` (activations from INPUT only), word i belongs to row ``i // width % rows``; rows whose bit is
    set in the registers MASK are written as ``neutral`` instead.
    """

    OPCODE: ClassVar[int] = 0x01
    TRANSFER: ClassVar[bool] = True
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("memory", 1),
        Field("base", 2),
        Field("offset", 3),
        Field("address", 4),
        Field("length", 5),
        Field("masked", 6, bits=1),
        Field("rows", 7),
        Field("width", 8),
        Field("neutral", 9, bits=8, signed=True),
    )

    memory: int
    base: int = Base.PROGRAM
    offset: int
    address: int
    length: int
    masked: int = 0
    rows: int = 0
    width: int = 0
    neutral: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Store(Command):
    """Copy ``length`` bytes of activations to OUTPUT_BASE plus ``offset``."""

    OPCODE: ClassVar[int] = 0x02
    TRANSFER: ClassVar[bool] = True
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("memory", 1),
        Field("base", 2),
        Field("offset", 3),
        Field("address", 4),
        Field("length", 5),
    )

    memory: int = Memory.ACT
    base: int = Base.OUTPUT
    offset: int
    address: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Command):
    """Convolution, requantised: ``in_groups`` of 8 channels to ``out_groups`` of 16, kernel 1 or 3.

    Output (y, x) reads rows ``y * stride + ky - pad_top`` and columns alike; outside it reads ``pad_value``.
    """

    OPCODE: ClassVar[int] = 0x10
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("source", 1),
        Field("target", 2),
        Field("weights", 3),
        Field("channel", 4),
        Field("in_height", 5, 0, 16),
        Field("in_width", 5, 16, 16),
        Field("out_height", 6, 0, 16),
        Field("out_width", 6, 16, 16),
        Field("in_groups", 7, 0, 16),
        Field("out_groups", 7, 16, 16),
        Field("kernel", 8, 0, 8),
        Field("stride", 8, 8, 8),
        Field("pad_top", 8, 16, 8),
        Field("pad_left", 8, 24, 8),
        Field("pad_value", 9, 0, 8, True),
        Field("zero_point", 9, 8, 8, True),
        Field("low", 9, 16, 8, True),
        Field("high", 9, 24, 8, True),
    )

    source: int
    target: int
    weights: int
    channel: int
    in_height: int
    in_width: int
    out_height: int
    out_width: int
    in_groups: int
    out_groups: int
    kernel: int
    stride: int = 1
    pad_top: int = 0
    pad_left: int = 0
    pad_value: int = 0
    zero_point: int = 0
    low: int = -128
    high: int = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Command):
    """Sum of two tensors of ``words``, each with its zero point and multiplier, shifted right and clamped."""

    OPCODE: ClassVar[int] = 0x11
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("a", 1),
        Field("b", 2),
        Field("target", 3),
        Field("words", 4),
        Field("multiplier_a", 5, signed=True),
        Field("multiplier_b", 6, signed=True),
        Field("shift", 7, 0, 8),
        Field("zero_a", 7, 8, 8, True),
        Field("zero_b", 7, 16, 8, True),
        Field("zero_point", 7, 24, 8, True),
        Field("low", 8, 0, 8, True),
        Field("high", 8, 8, 8, True),
    )

    a: int
    b: int
    target: int
    words: int
    multiplier_a: int
    multiplier_b: int
    shift: int
    zero_a: int = 0
    zero_b: int = 0
    zero_point: int = 0
    low: int = -128
    high: int = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Command):
    """Largest of each ``kernel`` x ``kernel`` square, side by side; a last odd row or column is left out."""

    OPCODE: ClassVar[int] = 0x12
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("source", 1),
        Field("target", 2),
        Field("height", 3, 0, 16),
        Field("width", 3, 16, 16),
        Field("groups", 4),
        Field("kernel", 5),
    )

    source: int
    target: int
    height: int
    width: int
    groups: int
    kernel: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool(Command):
    """Mean over a whole plane: the sum less its zero points, requantised by one multiplier and shift."""

    OPCODE: ClassVar[int] = 0x13
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("source", 1),
        Field("target", 2),
        Field("height", 3, 0, 16),
        Field("width", 3, 16, 16),
        Field("groups", 4),
        Field("multiplier", 5, bits=31),
        Field("shift", 6, 0, 8),
        Field("zero_in", 6, 8, 8, True),
        Field("zero_point", 6, 16, 8, True),
        Field("low", 7, 0, 8, True),
        Field("high", 7, 8, 8, True),
    )

    source: int
    target: int
    height: int
    width: int
    groups: int
    multiplier: int
    shift: int
    zero_in: int = 0
    zero_point: int = 0
    low: int = -128
    high: int = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit(Command):
    """Confidence test on ``classes`` logits; leaves if the sum is at most EXIT_LIMIT[number], or if ``last``."""

    OPCODE: ClassVar[int] = 0x20
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("source", 1),
        Field("classes", 2),
        Field("number", 3),
        Field("table", 4),
        Field("last", 5, bits=1),
    )

    source: int
    classes: int
    number: int
    table: int
    last: int = 0


KINDS: tuple[type[Command], ...] = (End, Load, Store, Conv, Add, MaxPool, AvgPool, Exit)
_BY_OPCODE = {kind.OPCODE: kind for kind in KINDS}


def decode(raw: bytes) -> Command:
    """The command that 64 bytes say.

    Raises:
        CommandError: another length, or an opcode that is not known.
    """
    if len(raw) != COMMAND_BYTES:
        raise CommandError(f"a command has {COMMAND_BYTES} bytes, not {len(raw)}")
    words = _WORDS.unpack(raw)
    kind = _BY_OPCODE.get(words[0] & 0xFF)
    if kind is None:
        raise CommandError(f"opcode {words[0] & 0xFF:#04x} is not known")
    values = {}
    for field in (*kind.FIELDS, _TAG):
        value = words[field.word] >> field.low & ((1 << field.bits) - 1)
        if field.signed and value >> (field.bits - 1):
            value -= 1 << field.bits
        values[field.name] = value
    return kind(wait_dma=bool(words[0] >> 8 & 1), wait_compute=bool(words[0] >> 9 & 1), **values)


def encode_list(commands: Iterable[Command]) -> bytes:
    """A command list as it lies in DDR."""
    return b"".join(command.encode() for command in commands)


def decode_list(raw: bytes) -> tuple[Command, ...]:
    """The commands of a list.

    Raises:
        CommandError: as ``decode``; the message names the command's number.
    """
    commands = []
    for start in range(0, len(raw), COMMAND_BYTES):
        try:
            commands.append(decode(raw[start : start + COMMAND_BYTES]))
        except CommandError as error:
            raise CommandError(f"command {start // COMMAND_BYTES}: {error.message}") from error
    return tuple(commands)
