"""Makes what is derived from ``registers.toml``: ``python -m drivers.npu.generate``, with ``--check`` only compares.

RTL header, ``.hwh``, the register maps of host and agent, and the tables between the markers of ``docs/edge-npu.md``.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from drivers.npu.description import OVERLAY, read_description
from drivers.npu.handoff import hardware_handoff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from drivers.npu.description import Description

ROOT = OVERLAY.parents[1]
ORIGIN = (
    "Made from bitstreams/edge-npu/registers.toml by `python -m drivers.npu.generate`; change that, not this."
)
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def outputs(described: Description) -> dict[Path, str]:
    """Every derived file and what it has to hold.

    Raises:
        OSError: ``docs/edge-npu.md``, of which only the tables are derived, cannot be read.
    """
    document = ROOT / "docs/edge-npu.md"
    tables = {name: "\n".join(lines) + "\n" for name, lines in _tables(described).items()}
    text = MARKED.sub(lambda m: f"{m[1]}{tables[m[2]]}{m[3]}", document.read_text("utf-8"))
    return {
        OVERLAY / "rtl/npu_registers.svh": verilog_header(described),
        OVERLAY / "edge-npu.hwh": hardware_handoff(described),
        ROOT / "drivers/npu/registers.py": python_map(described, "the host"),
        ROOT / "drivers/agent/runtimes/overlay/registers.py": python_map(described, "the agent"),
        document: text,
    }


def constants(described: Description) -> Iterator[tuple[str, int, int]]:
    """Name, value and width in bits of everything that has a number."""
    for register in described.registers:
        yield register.name, register.offset, 12
        if register.reset is not None:
            yield f"{register.name}_RESET", register.reset, 32
        for field in register.fields:
            yield f"{register.name}_{field.name}_BIT", field.bits[0], 5
    for fault in described.errors:
        yield f"ERROR_{fault.constant}", fault.code, 4
    for command in described.commands:
        yield f"OP_{command.name}", command.opcode, 8
    yield "RECORD_MAGIC", described.record_magic, 32


def verilog_header(described: Description) -> str:
    """To be included inside a module."""
    lines = [f"// {ORIGIN}", "/* verilator lint_off UNUSEDPARAM */"]
    for name, value, width in constants(described):
        lines.append(f"localparam [{width - 1}:0] NPU_{name} = {width}'h{value:0{(width + 3) // 4}X};")
    return "\n".join([*lines, "/* verilator lint_on UNUSEDPARAM */", ""])


def python_map(described: Description, reader: str) -> str:
    """A module of plain constants for Python 3.8 that imports nothing: offsets in bytes, bits as masks."""
    lines = [f'"""Register map of edge-npu for {reader}: offsets in bytes from its AXI4-Lite base.', ""]
    lines += [*ORIGIN.replace("`; change", "`;\nchange").splitlines(), '"""', ""]
    fields: list[str] = []
    for register in described.registers:
        if register.words == 2:
            lines += [
                f"{register.name}_{half} = 0x{register.offset + at:03X}"
                for half, at in (("LO", 0), ("HI", 4))
            ]
            continue
        lines.append(f"{register.name} = 0x{register.offset:03X}")
        if register.words > 1:
            lines.append(f"{register.name}S = {register.words}")
        for field in register.fields:
            name = f"{register.name}_{field.name}"
            if field.width == 1:
                fields.append(f"{name} = 1 << {field.bits[0]}")
            else:
                fields += [f"{name}_SHIFT = {field.bits[0]}", f"{name}_BITS = {field.width}"]
    lines += ["", *fields, ""]
    lines += [
        f"ID_VALUE = 0x{described.registers[0].reset:08X}",
        f"VERSION_VALUE = 0x{described.version:08X}",
    ]
    lines += [f"WINDOW_BYTES = 0x{described.window_bytes:X}", f"BUS_BASE = 0x{described.bus.base:08X}"]
    lines += [
        f"RECORD_MAGIC = 0x{described.record_magic:08X}",
        f"RECORD_BYTES = {described.record_bytes}",
        "",
    ]
    lines.append("ERRORS = {")
    lines += [f'    {fault.code}: "{fault.name}",' for fault in described.errors]
    lines += ["}", ""]
    lines += [f"OP_{command.name} = 0x{command.opcode:02X}" for command in described.commands]
    return "\n".join([*lines, ""])


def _tables(described: Description) -> dict[str, list[str]]:
    registers = ["| offset | register | access | what |", "|---|---|---|---|"]
    for register in described.registers:
        name = register.name + (f"[0..{register.words - 1}]" if register.words > 1 else "")
        bits = "; ".join(
            f"{f'bit {f.bits[0]}' if f.width == 1 else f'bits {f.bits[1]}:{f.bits[0]}'} {f.name}: {f.text}"
            for f in register.fields
        )
        reset = f" Reads 0x{register.reset:08X}." if register.reset is not None else ""
        registers.append(
            f"| 0x{register.offset:03X} | {name} | {register.access} | {register.text}{reset} {bits} |".replace(
                "  ", " "
            )
        )
    errors = ["| code | name | when |", "|---|---|---|"]
    errors += [f"| {fault.code} | {fault.name} | {fault.text} |" for fault in described.errors]
    commands = ["| opcode | command | words | what |", "|---|---|---|---|"]
    commands += [f"| 0x{c.opcode:02X} | {c.name} | {c.words} | {c.text} |" for c in described.commands]
    return {"registers": registers, "errors": errors, "commands": commands}


def main() -> int:
    """Write the files, or say which are not current; 0 if all are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = 0
    for file, text in outputs(read_description()).items():
        if file.is_file() and file.read_text("utf-8") == text:
            continue
        stale += 1
        sys.stderr.write(f"{file.relative_to(ROOT)}: {'not current' if check else 'written'}\n")
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
