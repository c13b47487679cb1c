"""Static int8 (QDQ, per channel) of an exported graph, and an interleaved look at whether it pays.

Takes ONNX graphs and training images; gives quantised bytes and latencies; does not know the catalogue.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)


class _Reader(CalibrationDataReader):
    """Hand over images uint8 (n, 1, 28, 28) in batches of 100."""

    def __init__(self, images: np.ndarray) -> None:
        self._batches = iter(np.split(images, len(images) // 100))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}


def quantise(parts: list[onnx.ModelProto], images: np.ndarray) -> list[bytes]:
    """Quantise to 8 bits: unsigned activations, signed weights per channel, ranges from ``images``.

    Weights keep 7 bits (``reduce_range``): without VNNI, x86 adds products of full-range pairs in 16 bits
    and saturates, so that answers would depend on the processor.

    Parts are joined, quantised as one network and cut again where they were, behind the features' rounding to 8
    bits: what the next part takes are numbers that its own first step turns into the same 8 bits.

    Args:
        parts: a network's graphs in the order they run, the first with the input ``image``.
        images: training images uint8 (n, 1, 28, 28), n a multiple of 100.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        onnx.save(_joined(parts), before)
        quantize_static(
            before,
            after,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Add", "Relu", "Gemm"],
            calibrate_method=CalibrationMethod.MinMax,
        )
        whole = onnx.load(after)
    whole.producer_name = "testbed-zoo"
    whole.ir_version = min(whole.ir_version, 8)
    if len(parts) == 1:
        return [whole.SerializeToString()]
    return [_cut(whole, part) for part in parts]


def _joined(parts: list[onnx.ModelProto]) -> onnx.ModelProto:
    """One graph of several, without the Identity nodes that only gave the features their name."""
    whole: onnx.ModelProto | None = None
    for index, part in enumerate(parts):
        own = onnx.ModelProto()
        own.CopyFrom(part)
        for node in [n for n in own.graph.node if n.op_type == "Identity"]:
            own.graph.node.remove(node)
            for other in own.graph.node:
                for names in (other.input, other.output):
                    for place, name in enumerate(names):
                        if name == node.input[0]:
                            names[place] = node.output[0]
        if len(parts) > 1:
            own = onnx.compose.add_prefix(own, f"p{index}/", rename_inputs=False, rename_outputs=False)
        if whole is None:
            whole = own
            continue
        features = own.graph.input[0].name
        exits = [o.name for o in whole.graph.output if o.name != features]
        whole = onnx.compose.merge_models(
            whole, own, io_map=[(features, features)], outputs=[*exits, *(o.name for o in own.graph.output)]
        )
    assert whole is not None
    del whole.opset_import[1:]  # merging repeats it
    return whole


def _cut(whole: onnx.ModelProto, part: onnx.ModelProto) -> bytes:
    """The nodes between a part's input and its outputs; features leave as what their 8 bits stand for."""
    given = part.graph.input[0]
    exits = [o for o in part.graph.output if not o.name.startswith("features")]
    features = [o for o in part.graph.output if o.name.startswith("features")]
    rounded = {f"{o.name}_DequantizeLinear_Output": o.name for o in features}
    made = onnx.ModelProto()
    made.CopyFrom(whole)
    wanted = {*(o.name for o in exits), *rounded}
    nodes = []
    for node in reversed(whole.graph.node):
        if wanted & set(node.output):
            wanted |= {name for name in node.input if name != given.name}
            nodes.append(node)
    del made.graph.node[:]
    made.graph.node.extend(reversed(nodes))
    # Inside, the features before rounding give up their name to those after.
    names = {**{name: f"{name}_exact" for name in rounded.values()}, **rounded}
    for node in made.graph.node:
        for field in (node.input, node.output):
            for place, name in enumerate(field):
                field[place] = names.get(name, name)
    used = {name for node in made.graph.node for name in node.input}
    constants = [item for item in made.graph.initializer if item.name in used]
    del made.graph.initializer[:], made.graph.value_info[:], made.graph.input[:], made.graph.output[:]
    made.graph.initializer.extend(constants)
    made.graph.input.extend([given])
    made.graph.output.extend([*exits, *features])
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def session(model: bytes) -> ort.InferenceSession:
    """One-thread CPU session, so that latencies compare and sums repeat."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compare_latency(
    models: dict[str, list[bytes]], image: np.ndarray, rounds: int = 400
) -> dict[str, np.ndarray]:
    """Time whole passes of every model in turn, round after round, so that drift hits all alike.

    Args:
        models: chains of part graphs by name.
        image: uint8 (n, 1, 28, 28).
        rounds: passes per model.

    Returns:
        Nanoseconds per pass, int64 (rounds,), by name.
    """
    chains = {name: [session(part) for part in parts] for name, parts in models.items()}
    spent = {name: np.zeros(rounds, np.int64) for name in chains}
    for index in range(-20, rounds):
        for name, chain in chains.items():
            began = time.perf_counter_ns()
            x = image
            for part in chain:
                x = part.run(None, {part.get_inputs()[0].name: x})[-1]
            if index >= 0:
                spent[name][index] = time.perf_counter_ns() - began
    return spent
