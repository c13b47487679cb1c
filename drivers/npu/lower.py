"""Layers to steps: integer weights, folded zero points, multipliers and shifts, packed as the device reads them.

Takes a ``Network``; gives one ``Step`` per command, whose addresses are still missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drivers.npu.graph import UnsupportedError
from drivers.npu.isa import CLASSES_MOST, LANES, ROWS, Add, AvgPool, Command, Conv, Exit, MaxPool
from drivers.npu.layers import Addition, Convolution, Layer, Leave, Network, Pooling, Tensor
from drivers.npu.packing import PARAMETERS, confidence_table, fixed_point, pack, unflatten

if TYPE_CHECKING:
    from collections.abc import Sequence


EXITS_MOST = 4
_ACCUMULATOR_MOST = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command to be, and what it belongs to.

    Attributes:
        tag: layer number, from 1; 0 belongs to what is loaded for all.
        command: complete but for the addresses of activations, weights and parameters.
        reads: tensor by the command's field. writes: likewise, empty for an exit.
        words: activation words written. offset: words from the target's start at which it writes.
        weights: whole weight words. parameters: 16 bytes for each of the channels.
    """

    tag: int
    name: str
    op: str
    macs: int
    command: Command
    reads: dict[str, str]
    writes: str = ""
    words: int = 0
    offset: int = 0
    weights: bytes = b""
    parameters: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """An exit's numbers: which table it reads and what its logits mean."""

    number: int
    name: str
    classes: int
    scale: float
    zero_point: int
    temperature: float
    table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """Steps in the order they run, the exits among them, and their confidence tables, 512 bytes each."""

    network: Network
    steps: tuple[Step, ...]
    exits: tuple[Confidence, ...]
    tables: tuple[bytes, ...]


def lower(network: Network, temperatures: Sequence[float] = ()) -> Lowered:
    """Turn every layer into its command.

    Args:
        network: layers in the order they run.
        temperatures: of the softmax, one per exit; 1 where there is none.

    Raises:
        UnsupportedError: an accumulator could overflow, a scale is out of range, too many classes or exits.
    """
    steps: list[Step] = []
    exits: list[Confidence] = []
    tables: list[bytes] = []
    count = sum(isinstance(layer, Leave) for layer in network.layers)
    for tag, layer in enumerate(network.layers, 1):
        match layer:
            case Convolution():
                steps.append(_convolution(tag, layer))
            case Addition():
                steps.append(_addition(tag, layer))
            case Pooling():
                steps.append(_pooling(tag, layer))
            case Leave():
                number = len(exits)
                temperature = temperatures[number] if number < len(temperatures) else 1.0
                table = confidence_table(layer.source.scale, temperature)
                if table not in tables:
                    tables.append(table)
                confidence = _confidence(layer, number, temperature, tables.index(table))
                if number >= EXITS_MOST:
                    raise refuse(layer, layer.source, f"the overlay has {EXITS_MOST} exits")
                exits.append(confidence)
                command = Exit(
                    source=0,
                    classes=confidence.classes,
                    number=number,
                    table=confidence.table,
                    last=int(number == count - 1),
                    tag=tag,
                )
                reads = {"source": layer.source.name}
                steps.append(Step(tag=tag, name=layer.name, op="Exit", macs=0, command=command, reads=reads))
    return Lowered(network=network, steps=tuple(steps), exits=tuple(exits), tables=tuple(tables))


def refuse(layer: Layer, tensor: Tensor, reason: str) -> UnsupportedError:
    """The error for a layer."""
    return UnsupportedError(layer.op, layer.name, str(list(tensor.shape)), reason)


def _fixed_point(layer: Convolution | Pooling, real: float) -> tuple[int, int]:
    try:
        return fixed_point(real)
    except ValueError as error:
        raise refuse(layer, layer.source, str(error)) from error


def _confidence(layer: Leave, number: int, temperature: float, table: int) -> Confidence:
    source = layer.source
    classes = source.shape[0]
    if classes > CLASSES_MOST:
        raise refuse(layer, source, f"an exit has at most {CLASSES_MOST} classes")
    return Confidence(
        number=number,
        name=layer.name,
        classes=classes,
        scale=source.scale,
        zero_point=source.zero_point,
        temperature=temperature,
        table=table,
    )


def _convolution(tag: int, layer: Convolution) -> Step:
    source, target = layer.source, layer.target
    weights = layer.weights.astype(np.int64)
    bias = layer.bias - source.zero_point * weights.sum((1, 2, 3))
    reach = np.abs(weights).sum((1, 2, 3)) * 128 + np.abs(bias)
    if reach.max() > _ACCUMULATOR_MOST:
        raise refuse(layer, source, f"sums may reach {reach.max()}, an accumulator holds {_ACCUMULATOR_MOST}")
    out_groups = -(-len(bias) // ROWS)
    parameters = np.zeros(out_groups * ROWS, PARAMETERS)
    parameters["bias"][: len(bias)] = bias
    parameters["shift"] = 1
    for channel, scale in enumerate(layer.weight_scale):
        multiplier, shift = _fixed_point(layer, source.scale * float(scale) / target.scale)
        parameters["multiplier"][channel], parameters["shift"][channel] = multiplier, shift
    packed = pack(unflatten(layer.weights, source.shape) if layer.flat else layer.weights, out_groups)
    _, rows, columns = source.shape
    _, high, wide = target.shape
    if layer.flat:
        rows = columns = 1
    in_groups = source.words // (rows * columns)
    command = Conv(
        source=0,
        target=0,
        weights=0,
        channel=0,
        in_height=rows,
        in_width=columns,
        out_height=high,
        out_width=wide,
        in_groups=in_groups,
        out_groups=out_groups,
        kernel=layer.weights.shape[2],
        stride=layer.stride,
        pad_top=layer.pads[0],
        pad_left=layer.pads[1],
        pad_value=source.zero_point,
        zero_point=target.zero_point,
        low=layer.low,
        high=layer.high,
        tag=tag,
    )
    return Step(
        tag=tag,
        name=layer.name,
        op=layer.op,
        macs=layer.macs,
        command=command,
        reads={"source": source.name},
        writes=target.name,
        words=out_groups * ROWS // LANES * high * wide,
        weights=packed,
        parameters=parameters.tobytes(),
    )


def _addition(tag: int, layer: Addition) -> Step:
    a, b, target = layer.a, layer.b or layer.a, layer.target
    ratios = [a.scale / target.scale, b.scale / target.scale if layer.b else 0.0]
    shift = min(62, 23 - math.frexp(max(ratios))[1])
    if shift < 1:
        raise refuse(layer, target, f"scales {a.scale}, {b.scale} and {target.scale} are too far apart")
    command = Add(
        a=0,
        b=0,
        target=0,
        words=target.words,
        multiplier_a=round(math.ldexp(ratios[0], shift)),
        multiplier_b=round(math.ldexp(ratios[1], shift)),
        shift=shift,
        zero_a=a.zero_point,
        zero_b=b.zero_point,
        zero_point=target.zero_point,
        low=layer.low,
        high=layer.high,
        tag=tag,
    )
    return Step(
        tag=tag,
        name=layer.name,
        op=layer.op,
        macs=0,
        command=command,
        reads={"a": a.name, "b": b.name},
        writes=target.name,
        words=target.words,
    )


def _pooling(tag: int, layer: Pooling) -> Step:
    source, target = layer.source, layer.target
    _, height, width = source.shape
    groups = source.words // (height * width)
    command: Command
    if layer.kernel:
        command = MaxPool(
            source=0, target=0, height=height, width=width, groups=groups, kernel=layer.kernel, tag=tag
        )
    else:
        multiplier, shift = _fixed_point(layer, source.scale / (target.scale * height * width))
        command = AvgPool(
            source=0,
            target=0,
            height=height,
            width=width,
            groups=groups,
            multiplier=multiplier,
            shift=shift,
            zero_in=source.zero_point,
            zero_point=target.zero_point,
            low=layer.low,
            high=layer.high,
            tag=tag,
        )
    return Step(
        tag=tag,
        name=layer.name,
        op=layer.op,
        macs=0,
        command=command,
        reads={"source": source.name},
        writes=target.name,
        words=target.words,
    )
