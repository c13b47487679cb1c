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


def quantise(model: onnx.ModelProto, images: np.ndarray) -> bytes:
    """Quantise to 8 bits: unsigned activations, signed weights per channel, ranges from ``images``.

    Weights keep 7 bits (``reduce_range``): without VNNI, x86 adds products of full-range pairs in 16 bits
    and saturates, so that answers would depend on the processor.

    Args:
        model: a whole network's graph with the input ``image``.
        images: training images uint8 (n, 1, 28, 28), n a multiple of 100.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        onnx.save(model, before)
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
        graph = onnx.load(after)
    graph.producer_name = "testbed-zoo"
    graph.ir_version = min(graph.ir_version, 8)
    return graph.SerializeToString()


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
