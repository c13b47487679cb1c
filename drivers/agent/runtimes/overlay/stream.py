"""Overlays that hold one network and are fed by AXI DMA, such as hls4ml's VivadoAccelerator makes them.

Source: hls4ml 1.3.0, ``axi_stream_driver.py``: a whole batch goes through ``sendchannel.transfer`` and comes back
through ``recvchannel.transfer``; the receiving channel is started first. Numbers are float32, or integers by the
manifest's quantisation. Golden answers lie in an ``.npz``: ``input`` (n, ...) as a request brings them, ``output``
(n, ...) float32 as hls4ml's C simulation gives them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.manifest import check_hash

if TYPE_CHECKING:
    from drivers.agent.runtimes.overlay.logic import Logic
    from drivers.agent.runtimes.overlay.manifest import Golden, Manifest, Quantisation


class StreamEngine:
    """One network in the logic; items go through it one after another."""

    def __init__(self, logic: Logic, manifest: Manifest, *, timeout_s: float = 2.0) -> None:
        """Find the DMA and allocate both buffers once.

        Raises:
            OverlayError: the manifest does not say what goes in and what comes out, or there is no such DMA.
        """
        if manifest.input is None or manifest.output is None:
            raise OverlayError(
                f"the manifest of {manifest.name} does not say how input and output are quantised",
                cure="Add its [input] and [output] tables",
            )
        self._logic = logic
        self._path = manifest.ip
        self._timeout_s = timeout_s
        self._given, self._told = manifest.input, manifest.output
        self._dma = logic.channels(manifest.ip)
        self._in = logic.allocate(_size(self._given))
        self._out = logic.allocate(_size(self._told))

    def run(self, pixels: Any) -> tuple[Any, int]:  # noqa: ANN401
        """One item through the network: what came out, float32 (n,), and the time the logic took [ns].

        Raises:
            OverlayError: the DMA reported an error, or nothing came back in time; the overlay was loaded again.
        """
        import numpy as np

        self._in[:] = np.frombuffer(quantise(pixels, self._given).tobytes(), np.uint8)
        self._in.flush()
        begin = time.monotonic_ns()
        try:
            self._dma.recvchannel.transfer(self._out)
            self._dma.sendchannel.transfer(self._in)
            self._wait(self._dma.sendchannel)
            self._wait(self._dma.recvchannel)
        except (RuntimeError, OverlayError) as error:  # pynq raises RuntimeError for a DMA in an error state
            self._logic.reload()
            self._dma = self._logic.channels(self._path)
            raise OverlayError(f"{error}; the overlay was loaded again") from error
        took = time.monotonic_ns() - begin
        self._out.invalidate()
        return dequantise(self._out.tobytes(), self._told), took

    def prove(self, file: str, golden: Golden) -> int:
        """Put the golden inputs through; how many.

        Raises:
            OverlayError: the file is not the one that the manifest pins, or an answer is further off than allowed.
        """
        import numpy as np

        check_hash(file, golden.sha256, "golden answers")
        given, told = read_golden(file)
        for number, (one, wanted) in enumerate(zip(given, told)):
            found, _ = self.run(one)
            off = (
                float(np.abs(found - wanted.reshape(-1)).max()) if found.size == wanted.size else float("inf")
            )
            if not off <= golden.tolerance:
                raise OverlayError(
                    f"golden input {number}: the overlay's answer is {off:g} off, {golden.tolerance:g} is allowed",
                    cure="See that bitstream, quantisation and golden answers are of the same network",
                )
        return len(given)

    def free(self) -> None:
        """Give the buffers back."""
        self._in.freebuffer()
        self._out.freebuffer()

    def _wait(self, channel: Any) -> None:  # noqa: ANN401
        # Not channel.wait(), which waits for ever.
        until = time.monotonic() + self._timeout_s
        while not channel.idle:
            if channel.error:
                raise OverlayError("the DMA reported an error")
            if time.monotonic() > until:
                raise OverlayError(f"the overlay did not answer within {self._timeout_s:g} s")
            time.sleep(0)


def read_golden(file: str) -> tuple[Any, Any]:
    """Inputs and the answers to them, arrays of equal length.

    Raises:
        OverlayError: it holds something else.
    """
    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as stored:
            given, told = stored["input"], stored["output"].astype(np.float32)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise OverlayError(f"no golden answers can be read from {file}: {error}") from error
    if not len(given) or len(given) != len(told):
        raise OverlayError(f"golden answers: {len(given)} inputs and {len(told)} outputs")
    return given, told


def quantise(values: Any, how: Quantisation) -> Any:  # noqa: ANN401
    """Numbers of one item as the overlay takes them, saturating.

    Raises:
        OverlayError: there are more or fewer than its input has.
    """
    import numpy as np

    values = np.asarray(values, np.float32)
    if values.size != int(np.prod(how.shape)):
        raise OverlayError(f"an input of shape {values.shape} for an overlay that takes {tuple(how.shape)}")
    values = values.reshape(tuple(how.shape)) / np.float32(how.scale)
    kind = np.dtype(how.dtype)
    if how.kind == "float":
        return values.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(values) + how.zero_point, limits.min, limits.max).astype(kind)


def dequantise(data: bytes, how: Quantisation) -> Any:  # noqa: ANN401
    """What the overlay gave, as float32 (n,)."""
    import numpy as np

    values = np.frombuffer(data, how.dtype).astype(np.float32)
    return (
        values * np.float32(how.scale)
        if how.kind == "float"
        else (values - how.zero_point) * np.float32(how.scale)
    )


def _size(how: Quantisation) -> int:
    import numpy as np

    return int(np.prod(how.shape)) * np.dtype(how.dtype).itemsize
