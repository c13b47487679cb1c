"""Compile a quantised ONNX network for the edge NPU.

    python -m drivers.npu.compile NETWORK.onnx [NEXT-PART.onnx ...] --out NETWORK.npu [--json]

Runs on the host; the board gets the program file. ``docs/compiling-for-the-npu.md`` says what can be compiled.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.npu import estimate as estimates
from drivers.npu import graph, order, program, quantised
from drivers.npu.isa import COMMAND_BYTES, LANES, Base, Command, Load, Overlay, encode_list
from drivers.npu.lower import Lowered, lower
from drivers.npu.plan import ALIGNMENT, Plan, plan
from testbed.errors import ConfigError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Sequence


def compile_network(
    parts: Sequence[bytes],
    name: str,
    *,
    overlay: Overlay | None = None,
    temperatures: Sequence[float] = (),
    stream: bool = False,
) -> program.Program:
    """Compile ONNX files, parts of one network in the order they run.

    Args:
        parts: contents of the files.
        name: what the program is called.
        overlay: sizes to fit; default the xc7z020 build.
        temperatures: of each exit's softmax, from cheap to dear; 1 where there is none.
        stream: fetch weights during every run even if they would fit.

    Raises:
        UnsupportedError: something in the network that this compiler or overlay cannot do.
        ConfigError: not ONNX, or onnx is not installed.
    """
    sizes = overlay or Overlay()
    network = quantised.recognise(graph.read(parts), name)
    lowered = lower(network, temperatures)
    made = plan(lowered, sizes, stream=stream)
    wrong = order.faults(made.run, made.setup, sizes)
    if wrong:
        raise AssertionError(f"the compiler made a list that races: {'; '.join(wrong)}")
    return _assemble(lowered, made)


def _assemble(lowered: Lowered, made: Plan) -> program.Program:
    """Lay lists and data one behind the other, and say in the header where they are."""
    setup_at, run_at = 0, _aligned(len(made.setup) * COMMAND_BYTES)
    data_at = _aligned(run_at + len(made.run) * COMMAND_BYTES)
    image = bytearray(data_at) + made.data
    for at, commands in ((setup_at, made.setup), (run_at, made.run)):
        raw = encode_list(_moved(command, data_at) for command in commands)
        image[at : at + len(raw)] = raw
    image += bytes(-len(image) % ALIGNMENT)
    network = lowered.network
    cost = estimates.estimate(made.run)
    channels, height, width = network.input.shape
    groups = -(-channels // LANES)
    return program.Program(
        model=network.name,
        onnx_sha256=network.sha256,
        requires=program.Requirements(
            act_words=made.act_words,
            wgt_words=made.wgt_words,
            par_channels=made.par_channels,
            tables=len(lowered.tables),
        ),
        sections=program.Sections(
            setup=(setup_at, len(made.setup)), run=(run_at, len(made.run)), image_bytes=len(image)
        ),
        input=program.Input(
            shape=network.input.shape,
            groups=groups,
            map=network.pixels,
            neutral=network.input.zero_point,
            bytes=groups * height * width * LANES,
        ),
        output=program.Output(
            exits=tuple(
                program.ExitPoint(
                    number=leave.number,
                    name=leave.name,
                    classes=leave.classes,
                    scale=leave.scale,
                    zero_point=leave.zero_point,
                    temperature=leave.temperature,
                    table=leave.table,
                    cycles=cost.exits[leave.number],
                )
                for leave in lowered.exits
            )
        ),
        layers=tuple(
            program.Layer(
                tag=step.tag, name=step.name, op=step.op, macs=step.macs, cycles=cost.layers[step.tag]
            )
            for step in lowered.steps
        ),
        image=bytes(image),
    )


def _aligned(length: int) -> int:
    return length + -length % ALIGNMENT


def _moved(command: Command, data_at: int) -> Command:
    if isinstance(command, Load) and command.base == Base.PROGRAM:
        return replace(command, offset=command.offset + data_at)
    return command


def report(made: program.Program) -> dict[str, object]:
    """What a person or a script wants to know of a compiled program."""
    return {
        "model": made.model,
        "weights": "resident" if made.sections.setup[1] else "streamed",
        "image_bytes": made.sections.image_bytes,
        "requires": {f: getattr(made.requires, f) for f in made.requires.__struct_fields__},
        "exits": [{"name": e.name, "estimated_cycles": e.cycles} for e in made.output.exits],
        "layers": [
            {"tag": x.tag, "name": x.name, "op": x.op, "macs": x.macs, "estimated_cycles": x.cycles}
            for x in made.layers
        ],
        "sha256": made.sha256,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile, write, and say what came out; 2 if it cannot be compiled."""
    usual = Overlay()
    parser = argparse.ArgumentParser(
        prog="python -m drivers.npu.compile", description=__doc__.splitlines()[0]
    )
    parser.add_argument("onnx", nargs="+", type=Path, help="quantised network, or its parts in order")
    parser.add_argument("--out", type=Path, required=True, help="program file to write")
    parser.add_argument("--name", help="what the program is called (default: the first file's name)")
    parser.add_argument(
        "--temperature", type=float, action="append", default=[], help="of each exit, in order"
    )
    parser.add_argument(
        "--act-words", type=int, default=usual.act_words, help="activation memory, 8 bytes each"
    )
    parser.add_argument(
        "--wgt-words", type=int, default=usual.wgt_words, help="weight memory, 128 bytes each"
    )
    parser.add_argument("--par-channels", type=int, default=usual.par_channels, help="channels of parameters")
    parser.add_argument("--stream", action="store_true", help="fetch weights in every run even if they fit")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    chosen = parser.parse_args(arguments)
    overlay = Overlay(
        act_words=chosen.act_words, wgt_words=chosen.wgt_words, par_channels=chosen.par_channels
    )
    try:
        made = compile_network(
            [_content(path) for path in chosen.onnx],
            chosen.name or chosen.onnx[0].name.partition(".")[0],
            overlay=overlay,
            temperatures=chosen.temperature,
            stream=chosen.stream,
        )
        program.write(made, chosen.out)
    except TestbedError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    said = report(made)
    if chosen.json:
        sys.stdout.write(json.dumps(said) + "\n")
        return 0
    text = [f"{chosen.out}: {made.model}, weights {said['weights']}, {made.sections.image_bytes:,} bytes"]
    text += [f"  {x.op:14} {x.macs:>10,} MAC {x.cycles:>9,} cycles  {x.name}" for x in made.layers]
    text += [f"  leaves by {e.name} after about {e.cycles:,} cycles" for e in made.output.exits]
    sys.stdout.write("\n".join(text) + "\n")
    return 0


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path) from error


if __name__ == "__main__":
    sys.exit(main())
