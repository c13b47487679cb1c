"""Program files (``.npu``): what the compiler writes once and agent, driver and simulator read.

========================  ============================================================
8 bytes                   ``EDGENPU1``
4 bytes                   length of the header, little endian
header                    JSON, sorted keys: every field of ``Program`` but the image
padding                   zeros to the next multiple of 64
image                     commands, weights, parameters and tables, as they lie in DDR
========================  ============================================================

The header carries the image's SHA-256, and nothing of a file is used before that was checked.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING, Any

import msgspec

from drivers.npu.isa import (
    COMMAND_BYTES,
    LANES,
    ROWS,
    Base,
    Command,
    CommandError,
    Load,
    Overlay,
    decode_list,
)
from drivers.npu.registers import RECORD_BYTES
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAGIC = b"EDGENPU1"
ALIGNMENT = 64
CURE = "Compile the network again: python -m drivers.npu.compile"
HEADER_MOST = 1 << 20


class Requirements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an overlay must have: exactly these rows and lanes, at least these sizes (units of ``isa``)."""

    rows: int = ROWS
    lanes: int = LANES
    act_words: int
    wgt_words: int
    par_channels: int
    tables: int


class Sections(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Command lists as (offset in the image [bytes], commands). ``setup`` loads what stays: none if streamed."""

    setup: tuple[int, int]
    run: tuple[int, int]
    image_bytes: int


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What INPUT_BASE points to: int8 (groups, H, W, 8), channel c in group c // 8 and lane c % 8.

    ``map`` gives the activation of each pixel 0 to 255; lanes without a channel hold ``neutral``, which is also
    what a lost row reads as.
    """

    shape: tuple[int, int, int]
    groups: int
    map: tuple[int, ...]
    neutral: int
    bytes: int


class ExitPoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One exit: probability of class i is softmax of ``scale * (logit - zero_point) / temperature``.

    ``cycles`` is the compiler's estimate from START to DONE if the program leaves here.
    """

    number: int
    name: str
    classes: int
    scale: float
    zero_point: int
    temperature: float = 1.0
    table: int
    cycles: int


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exits in the order they run, and the length of the result record."""

    exits: tuple[ExitPoint, ...]
    record_bytes: int = RECORD_BYTES


class Layer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layer's estimate: commands with ``tag``, from 1, take ``cycles`` for ``macs`` multiply-accumulates."""

    tag: int
    name: str
    op: str
    macs: int
    cycles: int


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled network. ``onnx_sha256`` is of the file, or of the parts' hashes joined, as in the catalogue."""

    model: str
    onnx_sha256: str
    requires: Requirements
    sections: Sections
    input: Input
    output: Output
    layers: tuple[Layer, ...] = ()
    image: bytes = b""

    @property
    def sha256(self) -> str:
        """Hash of the image, in hexadecimal."""
        return hashlib.sha256(self.image).hexdigest()

    @property
    def setup(self) -> tuple[Command, ...]:
        """Commands that load what stays resident; empty for a streamed program."""
        return self._commands(self.sections.setup)

    @property
    def run(self) -> tuple[Command, ...]:
        """Commands of one inference."""
        return self._commands(self.sections.run)

    def _commands(self, section: tuple[int, int]) -> tuple[Command, ...]:
        start, count = section
        return decode_list(self.image[start : start + count * COMMAND_BYTES])

    def lacks(self, overlay: Overlay) -> str:
        """What ``overlay`` has too little of, as text, or nothing if the program fits."""
        need = self.requires
        pairs = (
            ("activation words", need.act_words, overlay.act_words),
            ("weight words", need.wgt_words, overlay.wgt_words),
            ("channels of parameters", need.par_channels, overlay.par_channels),
            ("confidence tables", need.tables, overlay.tables),
        )
        return ", ".join(f"{wanted} {what} ({has} there)" for what, wanted, has in pairs if wanted > has)


def to_bytes(program: Program) -> bytes:
    """The file's contents."""
    fields: dict[str, Any] = msgspec.to_builtins(program)
    fields.pop("image")
    header = json.dumps({**fields, "sha256": program.sha256}, sort_keys=True, separators=(",", ":")).encode()
    start = MAGIC + struct.pack("<I", len(header)) + header
    return start + bytes(-len(start) % ALIGNMENT) + program.image


def from_bytes(raw: bytes, file: Path | str = "program") -> Program:
    """The program that ``raw`` holds, checked; ``file`` names it in errors.

    Raises:
        ConfigError: not a program file, cut short or changed, written by another version, or its commands
            cannot be decoded.
    """

    def refuse(message: str, key: str = "") -> ConfigError:
        return ConfigError(message, file=file, key=key, cure=CURE)

    if raw[: len(MAGIC)] != MAGIC:
        raise refuse(f"is not an edge NPU program: it does not start with {MAGIC.decode()}")
    start = len(MAGIC) + 4
    length = int.from_bytes(raw[len(MAGIC) : start], "little")
    if len(raw) < start or length > min(len(raw) - start, HEADER_MOST):
        raise refuse("is cut short: the header is not whole")
    try:
        header = msgspec.json.decode(raw[start : start + length])
        said = header.pop("sha256")
        program = msgspec.convert(header, Program)
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, KeyError) as error:
        raise refuse(f"the header cannot be read: {error}", "header") from error
    begin = start + length
    image = raw[begin + -begin % ALIGNMENT :]
    if len(image) != program.sections.image_bytes:
        raise refuse(
            f"the image has {len(image)} bytes, the header says {program.sections.image_bytes}", "image"
        )
    if hashlib.sha256(image).hexdigest() != said:
        raise refuse("the image was changed: its SHA-256 is not the header's", "sha256")
    program = msgspec.structs.replace(program, image=image)
    _check(program, refuse)
    return program


def _check(program: Program, refuse: Callable[[str, str], ConfigError]) -> None:
    """Refuse what the types let through."""
    for name, (start, count) in (("setup", program.sections.setup), ("run", program.sections.run)):
        if not 0 <= start <= start + count * COMMAND_BYTES <= len(program.image):
            raise refuse("leaves the image", f"sections.{name}")
    try:
        commands = (*program.setup, *program.run)
    except CommandError as error:
        raise refuse(error.message, "image") from error
    for command in commands:
        if not isinstance(command, Load) or command.base != Base.PROGRAM:
            continue
        if command.offset + command.length > len(program.image):
            raise refuse(f"a command loads {command.length} bytes from beyond the image", "image")
    given = program.input
    if len(given.map) != 256 or not all(-128 <= value <= 127 for value in (*given.map, given.neutral)):
        raise refuse("is not 256 values from -128 to 127", "input.map")
    channels, height, width = given.shape
    if given.groups != -(-channels // LANES) or given.bytes != given.groups * height * width * LANES:
        raise refuse("does not follow from the shape", "input.bytes")
    if not program.output.exits:
        raise refuse("a program needs an exit", "output.exits")


def read(file: Path) -> Program:
    """A program file, checked.

    Raises:
        ConfigError: it cannot be read, or as ``from_bytes``.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=file, cure=CURE) from error
    return from_bytes(raw, file)


def write(program: Program, file: Path) -> None:
    """Write the file whole or not at all.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    draft = file.with_name(f".{file.name}.part")
    try:
        draft.write_bytes(to_bytes(program))
        draft.replace(file)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=file) from error
