"""Overlays behind a DMA, as hls4ml makes them: quantisation, a batch, and a DMA that fails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.manifest import Quantisation
from drivers.agent.runtimes.overlay.runtime import OverlayRuntime
from drivers.agent.runtimes.overlay.stream import dequantise, quantise
from drivers.virtual.pynq.memory import Arena
from testbed.wire import Tensor
from testbed.wire.messages import CANCELLED_EXIT

FLOAT = {"kind": "float", "dtype": "float32", "shape": [4]}
FIXED = {"kind": "integer", "dtype": "int16", "shape": [4], "scale": 2**-6, "zero_point": 0}
MANIFEST = {"name": "mlp", "kind": "stream", "ip": "hier_0.axi_dma_0", "input": FLOAT, "output": FLOAT}


class Channel:
    """One direction of a DMA; ``idle`` when the other side has done its work."""

    def __init__(self, dma, sends) -> None:
        self.dma, self.sends, self.error = dma, sends, False
        self.buffer = None

    def transfer(self, buffer) -> None:
        if self.error:
            raise RuntimeError("DMA channel not started")
        self.buffer = buffer
        if self.sends and not self.dma.silent:
            self.dma.work(buffer, self.dma.recvchannel.buffer)

    @property
    def idle(self) -> bool:
        return not self.dma.silent and not self.error


class Dma:
    """Behind it: the logits are the inputs, doubled and reversed."""

    def __init__(self, dtype) -> None:
        self.dtype, self.silent = dtype, False
        self.sendchannel, self.recvchannel = Channel(self, sends=True), Channel(self, sends=False)

    def work(self, given, told) -> None:
        told.view(self.dtype)[:] = given.view(self.dtype)[::-1] * 2


class Logic:
    clock_hz = 100e6

    def __init__(self, dtype=np.float32) -> None:
        self.arena = Arena(np.zeros(1 << 16, np.uint8))
        self.dma, self.loads = Dma(dtype), 1

    def channels(self, path):
        if path != "hier_0.axi_dma_0":
            raise OverlayError(f"the overlay has no DMA {path!r}")
        return self.dma

    def allocate(self, size):
        return self.arena.allocate(size)

    def reload(self) -> None:
        self.loads += 1
        self.dma = Dma(self.dma.dtype)

    def facts(self):
        return {}

    def close(self) -> None:
        pass


def run(runtime, batch, cancelled=frozenset()):
    tensor = Tensor(str(batch.dtype), batch.shape, batch.tobytes())
    n = len(batch)
    outcome = runtime.run("m", 0, (tensor,), ((),) * n, (0,) * n, (-1,) * n, lambda: cancelled)
    return outcome, np.frombuffer(outcome.outputs[0].data, np.float32).reshape(outcome.outputs[0].shape)


@pytest.mark.parametrize(("how", "dtype"), [(FLOAT, np.float32), (FIXED, np.int16)], ids=["float", "fixed"])
def test_a_batch_goes_through_and_comes_back_in_real_numbers(how, dtype):
    logic = Logic(dtype)
    runtime = OverlayRuntime(lambda manifest, files: logic)
    runtime.load("m", [], {"overlay": {**MANIFEST, "input": how, "output": how}}, 1)
    batch = np.array([[1, 2, 3, 4], [0, 0, 0, 0], [8, 7, 6, 5]], np.uint8)
    outcome, rows = run(runtime, batch, frozenset({1}))
    assert outcome.exits == [0, CANCELLED_EXIT, 0]
    assert rows.tolist() == [[8, 6, 4, 2], [0, 0, 0, 0], [10, 12, 14, 16]]
    assert set(outcome.report) == {"pl_ns", "host_ns"}
    runtime.unload("m")
    assert logic.arena.taken_bytes == 0


@pytest.mark.parametrize("fault", ["silent", "error"])
def test_a_dma_that_fails_is_bounded_and_loaded_again(fault):
    logic = Logic()
    runtime = OverlayRuntime(lambda manifest, files: logic)
    runtime.load("m", [], {"overlay": MANIFEST, "timeout_ms": 50}, 1)
    if fault == "silent":
        logic.dma.silent = True
    else:
        logic.dma.sendchannel.error = True
    batch = np.ones((1, 4), np.float32)
    with pytest.raises(OverlayError, match="loaded again"):
        run(runtime, batch)
    assert logic.loads == 2
    assert run(runtime, batch)[1].tolist() == [[2, 2, 2, 2]]


def test_a_manifest_without_quantisation_or_with_another_dma_is_refused():
    runtime = OverlayRuntime(lambda manifest, files: Logic())
    with pytest.raises(OverlayError, match="how input and output are quantised"):
        runtime.load("m", [], {"overlay": {**MANIFEST, "output": None}}, 1)
    with pytest.raises(OverlayError, match="no DMA"):
        runtime.load("m", [], {"overlay": {**MANIFEST, "ip": "dma"}}, 1)


def test_an_input_of_another_size_is_refused():
    with pytest.raises(OverlayError, match=r"\(3,\).*\(4,\)"):
        quantise(np.zeros(3), Quantisation("float", "float32", (4,)))


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20), st.sampled_from([2**-10, 0.1, 3.0]))
def test_integers_are_within_half_a_step_or_saturate(values, scale):
    how = Quantisation("integer", "int16", (len(values),), scale, 5)
    steps = quantise(values, how)
    assert steps.dtype == np.int16
    back = dequantise(steps.tobytes(), how)
    low, high = (-32768 - 5) * scale, (32767 - 5) * scale
    expected = np.clip(np.float64(values), low, high)
    np.testing.assert_allclose(back, expected, atol=scale * 0.5 + np.abs(expected).max() * 1e-5)
