"""An overlay that holds one network behind an AXI DMA, as far as its golden answers tell what it does.

A transfer of a golden input brings its answer; any other puts the DMA into its error state, as a design does whose
stream has another length: nothing is made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.stream import quantise, read_golden
from drivers.virtual.pynq.memory import Arena

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from drivers.agent.runtimes.overlay.logic import Mmio
    from drivers.agent.runtimes.overlay.manifest import Manifest
    from drivers.virtual.pynq.memory import ArenaBuffer

ARENA_BYTES = 1 << 20


class Channel:
    """One direction of the DMA, by the members of ``pynq.lib.dma`` that the runtime uses."""

    def __init__(self, dma: GoldenDma, *, sends: bool) -> None:
        """Idle."""
        self._dma = dma
        self._sends = sends
        self.buffer: Any = None
        self.error = False

    @property
    def idle(self) -> bool:
        """The transfer is over."""
        return not self.error

    def transfer(self, buffer: Any) -> None:  # noqa: ANN401 - a Buffer that is a numpy array
        """Start; it is over at once.

        Raises:
            RuntimeError: it is in its error state, as pynq says it.
        """
        if self.error:
            raise RuntimeError("DMA channel not started")
        self.buffer = buffer
        if self._sends:
            self._dma.work()


class GoldenDma:
    """Both directions, with the answers between them."""

    def __init__(self, answers: Mapping[bytes, bytes]) -> None:
        """Nothing is under way."""
        self._answers = answers
        self.sendchannel, self.recvchannel = Channel(self, sends=True), Channel(self, sends=False)

    def work(self) -> None:
        """Answer what was sent into what waits to receive."""
        answer = self._answers.get(self.sendchannel.buffer.tobytes())
        if answer is None or self.recvchannel.buffer is None:
            self.sendchannel.error = self.recvchannel.error = True
            return
        self.recvchannel.buffer[:] = np.frombuffer(answer, np.uint8)


class GoldenStreamLogic:
    """See `drivers.agent.runtimes.overlay.logic.Logic`."""

    def __init__(self, manifest: Manifest, golden: str, *, clock_hz: float = 100e6) -> None:
        """Load the answers in place of a bitstream.

        Args:
            golden: file of the golden answers.

        Raises:
            OverlayError: the manifest has no quantisation, or the file no answers.
        """
        if manifest.input is None or manifest.output is None:
            raise OverlayError(
                f"the manifest of {manifest.name} does not say what goes in and what comes out"
            )
        given, told = read_golden(golden)
        self._answers = {
            quantise(one, manifest.input).tobytes(): quantise(answer, manifest.output).tobytes()
            for one, answer in zip(given, told, strict=True)
        }
        self._path = manifest.ip
        self._arena = Arena(np.zeros(ARENA_BYTES, np.uint8))
        self._dma = GoldenDma(self._answers)
        self.clock_hz = clock_hz

    def mmio(self, ip: str, size: int) -> Mmio:
        """None.

        Raises:
            OverlayError: always.
        """
        raise OverlayError(f"the overlay has no registers of {ip!r}")

    def channels(self, path: str) -> GoldenDma:
        """The DMA.

        Raises:
            OverlayError: another one was asked for.
        """
        if path != self._path:
            raise OverlayError(f"the overlay has no DMA {path!r}", cure="Correct ip in overlay.toml")
        return self._dma

    def allocate(self, size: int) -> ArenaBuffer:
        """Out of the arena."""
        return self._arena.allocate(size)

    def reload(self) -> None:
        """The DMA is as after power-up."""
        self._dma = GoldenDma(self._answers)

    def facts(self) -> Mapping[str, object]:
        """What stands there instead of silicon."""
        return {"device": type(self).__name__, "answers": len(self._answers)}

    def close(self) -> None:
        """Nothing to give back."""
