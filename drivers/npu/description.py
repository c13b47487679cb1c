"""The overlay's description, ``bitstreams/edge-npu/registers.toml``, checked and as values.

What this says is said once: the RTL's header, the ``.hwh``, the Python register maps and the tables in
``docs/edge-npu.md`` are made from it (:mod:`drivers.npu.generate`).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from testbed.errors import ConfigError

OVERLAY = Path(__file__).parents[2] / "bitstreams/edge-npu"
"""Folder of the overlay in a checkout; an installed package does not carry it."""

Natural = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$")]


class Field(Struct, frozen=True, forbid_unknown_fields=True):
    """Some bits of a register; ``bits`` are the lowest and the highest."""

    name: Name
    bits: tuple[Natural, Natural]
    text: str

    @property
    def width(self) -> int:
        """Number of bits."""
        return self.bits[1] - self.bits[0] + 1


class Register(Struct, frozen=True, forbid_unknown_fields=True):
    """One register of 32 bits, or ``words`` of them in a row.

    Attributes:
        offset: bytes from the start of the window.
        access: ``w1c``: a bit written as 1 is cleared.
        reset: what it reads after reset; ``None`` where it depends on parameters or is 0.
        volatile: cleared by a soft reset, although the driver writes it.
    """

    name: Name
    offset: Natural
    access: Literal["ro", "rw", "w1c"]
    text: str
    words: Annotated[int, Meta(ge=1)] = 1
    reset: int | None = None
    fields: tuple[Field, ...] = ()
    volatile: bool = False


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """One value of the register ERROR."""

    code: Natural
    name: str
    text: str

    @property
    def constant(self) -> str:
        """As in the RTL: ``BAD_OPCODE``."""
        return self.name.upper().replace(" ", "_")


class Command(Struct, frozen=True, forbid_unknown_fields=True):
    """One command of a program: ``words`` says what its words hold."""

    opcode: Natural
    name: Name
    words: str
    text: str


class Bus(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the block design of ``build.tcl`` puts the overlay, and what its memory port is like."""

    base: Natural
    clock_mhz: float
    memory_low: Natural
    memory_high: Natural
    address_bits: int
    data_bits: int
    burst_beats: int


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Of the RTL's top module: rows x lanes multipliers and the sizes of the scratch memories."""

    rows: int
    lanes: int
    act_words: int
    wgt_words: int
    par_channels: int
    tables: int


class Description(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"registers": "register", "errors": "error", "commands": "command"},
):
    """All of ``registers.toml``."""

    schema: Literal[1]
    name: str
    vlnv: str
    version: Natural
    window_bytes: Natural
    record_magic: Natural
    record_bytes: Natural
    bus: Bus
    parameters: Parameters
    registers: tuple[Register, ...]
    errors: tuple[Fault, ...]
    commands: tuple[Command, ...]


def read_description(file: Path = OVERLAY / "registers.toml") -> Description:
    """Read and check the description.

    Raises:
        ConfigError: it is missing, is not TOML of this schema, or registers, fields, codes or opcodes overlap.
    """
    try:
        described = msgspec.convert(tomllib.loads(file.read_text("utf-8")), Description)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}",
            file=file,
            cure="The overlay's sources are in a checkout only",
        ) from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(str(error), file=file) from error
    end = 0
    for register in described.registers:
        if register.offset % 4 or register.offset < end:
            raise ConfigError(
                "overlaps the register before it, or is no multiple of 4", file=file, key=register.name
            )
        end = register.offset + 4 * register.words
        bit = 0
        for field in register.fields:
            if not bit <= field.bits[0] <= field.bits[1] <= 31:
                raise ConfigError(
                    "overlaps a field, or lies outside of 32 bits",
                    file=file,
                    key=f"{register.name}.{field.name}",
                )
            bit = field.bits[1] + 1
    if end > described.window_bytes:
        raise ConfigError(f"registers take {end} bytes", file=file, key="window_bytes")
    for key, values in (
        ("register", [r.name for r in described.registers]),
        ("error", [e.code for e in described.errors]),
        ("command", [c.opcode for c in described.commands]),
    ):
        if len(set(values)) != len(values):
            raise ConfigError("the same name or number twice", file=file, key=key)
    return described
