"""Commands of the edge NPU: 64 bytes each, sixteen little-endian 32-bit words; docs/edge-npu.md is the reference.

Word 0 is opcode [7:0], flags [15:8] (bit 0 ``wait_dma``, bit 1 ``wait_compute``) and tag [31:16] in every
command; the annotations of a class say where the rest lies, and are all that encoding and decoding know.
Commands issue in list order. A computation issues when the one before it has ended, a transfer when the one
before it has; both engines run beside each other unless a flag says wait.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple, get_origin, get_type_hints

from drivers.npu import registers as reg
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMAND_BYTES = 64
ROWS, LANES = 16, 8
ALWAYS, NEVER = 0xFFFFFFFF, 0
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


class Bits(NamedTuple):
    """Where a field lies: word 0 to 15, lowest bit, width."""

    word: int
    low: int = 0
    bits: int = 32
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What every command carries. ``tag`` comes back in error reports: the compiler's layer number."""

    OPCODE: ClassVar[int]
    TRANSFER: ClassVar[bool] = False

    wait_dma: bool = False
    wait_compute: bool = False
    tag: Annotated[int, Bits(0, 16, 16)] = 0

    def encode(self) -> bytes:
        """The command's 64 bytes.

        Raises:
            CommandError: a value does not fit its field.
        """
        words = [0] * 16
        words[0] = self.OPCODE | self.wait_dma << 8 | self.wait_compute << 9
        for name, at in LAYOUTS[type(self)].items():
            value = int(getattr(self, name))
            least = -(1 << (at.bits - 1)) if at.signed else 0
            most = (1 << (at.bits - at.signed)) - 1
            if not least <= value <= most:
                raise CommandError(
                    f"{type(self).__name__}: {name} {value} is outside {least}..{most} ({at.bits} bits)"
                )
            words[at.word] |= (value & ((1 << at.bits) - 1)) << at.low
        return _WORDS.pack(*words)


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Command):
    """Wait for everything, write the result record, set DONE."""

    OPCODE: ClassVar[int] = reg.OP_END

    exit: Annotated[int, Bits(1)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Command):
    """Copy ``length`` bytes from DDR into a memory.

    With ``masked`` (activations from INPUT only), word i belongs to row ``i // width % rows``; rows whose bit is
    set in the registers MASK are written as ``neutral`` instead.
    """

    OPCODE: ClassVar[int] = reg.OP_LOAD
    TRANSFER: ClassVar[bool] = True

    memory: Annotated[int, Bits(1)]
    base: Annotated[int, Bits(2)] = Base.PROGRAM
    offset: Annotated[int, Bits(3)]
    address: Annotated[int, Bits(4)]
    length: Annotated[int, Bits(5)]
    masked: Annotated[int, Bits(6, bits=1)] = 0
    rows: Annotated[int, Bits(7)] = 0
    width: Annotated[int, Bits(8)] = 0
    neutral: Annotated[int, Bits(9, bits=8, signed=True)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Store(Command):
    """Copy ``length`` bytes of activations to OUTPUT_BASE plus ``offset``."""

    OPCODE: ClassVar[int] = reg.OP_STORE
    TRANSFER: ClassVar[bool] = True

    memory: Annotated[int, Bits(1)] = Memory.ACT
    base: Annotated[int, Bits(2)] = Base.OUTPUT
    offset: Annotated[int, Bits(3)]
    address: Annotated[int, Bits(4)]
    length: Annotated[int, Bits(5)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Command):
    """Convolution, requantised: ``in_groups`` of 8 channels to ``out_groups`` of 16, kernel 1 or 3.

    Output (y, x) reads rows ``y * stride + ky - pad_top`` and columns alike; outside it reads ``pad_value``.
    """

    OPCODE: ClassVar[int] = reg.OP_CONV

    source: Annotated[int, Bits(1)]
    target: Annotated[int, Bits(2)]
    weights: Annotated[int, Bits(3)]
    channel: Annotated[int, Bits(4)]
    in_height: Annotated[int, Bits(5, 0, 16)]
    in_width: Annotated[int, Bits(5, 16, 16)]
    out_height: Annotated[int, Bits(6, 0, 16)]
    out_width: Annotated[int, Bits(6, 16, 16)]
    in_groups: Annotated[int, Bits(7, 0, 16)]
    out_groups: Annotated[int, Bits(7, 16, 16)]
    kernel: Annotated[int, Bits(8, 0, 8)]
    stride: Annotated[int, Bits(8, 8, 8)] = 1
    pad_top: Annotated[int, Bits(8, 16, 8)] = 0
    pad_left: Annotated[int, Bits(8, 24, 8)] = 0
    pad_value: Annotated[int, Bits(9, 0, 8, signed=True)] = 0
    zero_point: Annotated[int, Bits(9, 8, 8, signed=True)] = 0
    low: Annotated[int, Bits(9, 16, 8, signed=True)] = -128
    high: Annotated[int, Bits(9, 24, 8, signed=True)] = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Command):
    """Sum of two tensors of ``words``, each with its zero point and multiplier, shifted right and clamped."""

    OPCODE: ClassVar[int] = reg.OP_ADD

    a: Annotated[int, Bits(1)]
    b: Annotated[int, Bits(2)]
    target: Annotated[int, Bits(3)]
    words: Annotated[int, Bits(4)]
    multiplier_a: Annotated[int, Bits(5, signed=True)]
    multiplier_b: Annotated[int, Bits(6, signed=True)]
    shift: Annotated[int, Bits(7, 0, 8)]
    zero_a: Annotated[int, Bits(7, 8, 8, signed=True)] = 0
    zero_b: Annotated[int, Bits(7, 16, 8, signed=True)] = 0
    zero_point: Annotated[int, Bits(7, 24, 8, signed=True)] = 0
    low: Annotated[int, Bits(8, 0, 8, signed=True)] = -128
    high: Annotated[int, Bits(8, 8, 8, signed=True)] = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Command):
    """Largest of each ``kernel`` x ``kernel`` square, side by side; a last odd row or column is left out."""

    OPCODE: ClassVar[int] = reg.OP_MAXPOOL

    source: Annotated[int, Bits(1)]
    target: Annotated[int, Bits(2)]
    height: Annotated[int, Bits(3, 0, 16)]
    width: Annotated[int, Bits(3, 16, 16)]
    groups: Annotated[int, Bits(4)]
    kernel: Annotated[int, Bits(5)] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool(Command):
    """Mean over a whole plane: the sum less its zero points, requantised by one multiplier and shift."""

    OPCODE: ClassVar[int] = reg.OP_AVGPOOL

    source: Annotated[int, Bits(1)]
    target: Annotated[int, Bits(2)]
    height: Annotated[int, Bits(3, 0, 16)]
    width: Annotated[int, Bits(3, 16, 16)]
    groups: Annotated[int, Bits(4)]
    multiplier: Annotated[int, Bits(5, bits=31)]
    shift: Annotated[int, Bits(6, 0, 8)]
    zero_in: Annotated[int, Bits(6, 8, 8, signed=True)] = 0
    zero_point: Annotated[int, Bits(6, 16, 8, signed=True)] = 0
    low: Annotated[int, Bits(7, 0, 8, signed=True)] = -128
    high: Annotated[int, Bits(7, 8, 8, signed=True)] = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit(Command):
    """Confidence test on ``classes`` logits; leaves if the sum is at most EXIT_LIMIT[number], or if ``last``."""

    OPCODE: ClassVar[int] = reg.OP_EXIT

    source: Annotated[int, Bits(1)]
    classes: Annotated[int, Bits(2)]
    number: Annotated[int, Bits(3)]
    table: Annotated[int, Bits(4)]
    last: Annotated[int, Bits(5, bits=1)] = 0


KINDS: tuple[type[Command], ...] = (End, Load, Store, Conv, Add, MaxPool, AvgPool, Exit)
_BY_OPCODE = {kind.OPCODE: kind for kind in KINDS}


def _layout(kind: type[Command]) -> dict[str, Bits]:
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if get_origin(hint) is Annotated}


LAYOUTS = {kind: _layout(kind) for kind in KINDS}
"""Where the fields of each kind of command lie, but for its opcode and flags."""


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
    for name, at in LAYOUTS[kind].items():
        value = words[at.word] >> at.low & ((1 << at.bits) - 1)
        if at.signed and value >> (at.bits - 1):
            value -= 1 << at.bits
        values[name] = value
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
