"""Compiled programs as they travel: ``.npu`` files; everything that they claim is checked before it is used.

=======  =====  ==========================================================================================
bytes    type   what
=======  =====  ==========================================================================================
0..7     char   ``EDGENPU1``
8..11    u32    length of the header, little endian
12..     JSON   the header: model, what it needs, sections, input, exits, SHA-256 of the image
...      zero   up to the next multiple of 64
...      bytes  the image: commands, weights and tables as they lie in DDR
=======  =====  ==========================================================================================
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import TestbedError

if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

MAGIC = b"EDGENPU1"
ALIGNMENT = 64
RECORD_BYTES = 128
_PREFIX = struct.Struct("<8sI")


class ProgramError(TestbedError):
    """A file is no program, or not one that this runtime can execute."""


class Section(NamedTuple):
    """A command list: where it lies in the image [bytes], and how many commands it has at most."""

    offset: int
    commands: int


class ProgramInput(NamedTuple):
    """One item: ``shape`` (channels, height, width) of uint8; ``levels`` has the int8 for each of the 256 values."""

    shape: Sequence[int]
    levels: Sequence[int]
    neutral: int

    @property
    def groups(self) -> int:
        """Words of eight channels per pixel."""
        return -(-self.shape[0] // 8)

    @property
    def size(self) -> int:
        """Bytes in DDR: (groups, height, width, 8)."""
        return self.groups * self.shape[1] * self.shape[2] * 8


class ProgramExit(NamedTuple):
    """A place where the program can end: logits are ``scale`` apart; ``cycles`` is the compiler's estimate up to it."""

    name: str
    classes: int
    scale: float
    temperature: float
    cycles: int


class Program(NamedTuple):
    """A program, checked; ``requires`` names what the overlay must have at least."""

    model: str
    onnx_sha256: str
    sha256: str
    requires: Mapping[str, int]
    setup: Section
    run: Section
    input: ProgramInput
    exits: Sequence[ProgramExit]
    record_bytes: int
    image: bytes


def read_program(data: bytes) -> Program:
    """Take a program file apart.

    Raises:
        ProgramError: it is something else, damaged, or contradicts itself.
    """
    if len(data) < _PREFIX.size or data[: len(MAGIC)] != MAGIC:
        raise ProgramError("this is no program of the edge-npu", cure="Compile the model with `testbed npu`")
    length = _PREFIX.unpack_from(data)[1]
    begin = -(-(_PREFIX.size + length) // ALIGNMENT) * ALIGNMENT
    try:
        header = json.loads(data[_PREFIX.size : _PREFIX.size + length].decode("utf-8"))
        program = _program(header, data[begin:])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProgramError(f"the program's header cannot be read: {type(error).__name__}: {error}") from error
    _check(program)
    return program


def _program(header: Mapping[str, Any], image: bytes) -> Program:
    given, told = header["input"], header["output"]
    return Program(
        model=str(header["model"]),
        onnx_sha256=str(header["onnx_sha256"]),
        sha256=str(header["sha256"]),
        requires={str(name): int(value) for name, value in header["requires"].items()},
        setup=Section(*map(int, header["sections"]["setup"])),
        run=Section(*map(int, header["sections"]["run"])),
        input=ProgramInput(
            tuple(map(int, given["shape"])), tuple(map(int, given["map"])), int(given["neutral"])
        ),
        exits=tuple(
            ProgramExit(
                name=str(one["name"]),
                classes=int(one["classes"]),
                scale=float(one["scale"]),
                temperature=float(one.get("temperature", 1.0)),
                cycles=int(one["cycles"]),
            )
            for one in sorted(told["exits"], key=lambda one: int(one["number"]))
        ),
        record_bytes=int(told["record_bytes"]),
        image=image[: int(header["sections"]["image_bytes"])],
    )


def _check(program: Program) -> None:
    found = hashlib.sha256(program.image).hexdigest()
    if found != program.sha256:
        raise ProgramError(
            f"the program's image hashes to {found[:12]}…, its header says {program.sha256[:12]}…",
            cure="Compile it again; the file is damaged",
        )
    wrong = ""
    if len(program.input.shape) != 3 or min(program.input.shape) < 1:
        wrong = f"an input of shape {tuple(program.input.shape)}"
    elif len(program.input.levels) != 256 or not all(-128 <= v <= 127 for v in program.input.levels):
        wrong = "a map that is not 256 values of int8"
    elif not 1 <= len(program.exits) <= 4:
        wrong = f"{len(program.exits)} exits"
    elif any(not 1 <= one.classes <= RECORD_BYTES // 2 or one.scale <= 0 for one in program.exits):
        wrong = "an exit without classes or scale"
    elif program.record_bytes < RECORD_BYTES:
        wrong = f"a result record of {program.record_bytes} bytes"
    elif not program.run.commands:
        wrong = "no commands"
    for section in (program.setup, program.run):
        if section.offset % ALIGNMENT or section.offset + section.commands * ALIGNMENT > len(program.image):
            wrong = "commands outside of its image"
    if wrong:
        raise ProgramError(f"the program of {program.model} has {wrong}", cure="Compile it again")
