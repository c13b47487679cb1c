"""An overlay through the board's own pynq: 3.x on PYNQ-Z1/Z2 images, 4.x on ZCU104.

Maker: AMD; source: pynq's ``Overlay``, ``MMIO``, ``allocate``, ``Clocks``. Written against pynq 3.1.2 and 4.0.0, tested
on a simulated device and over PYNQ.remote; not yet run on the hardware.

pynq 4.0.0 looks a Zynq-7000's clock frequencies up under an UltraScale+ name and finds ``None``; ``Overlay.download``
then ends in a TypeError. There the clocks are set from the divisors of the ``.hwh`` and the bitstream is downloaded
without them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.manifest import board_type, check_board, check_hash

if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from drivers.agent.runtimes.overlay.logic import Mmio
    from drivers.agent.runtimes.overlay.manifest import Manifest


class PynqLogic:
    """See `drivers.agent.runtimes.overlay.logic.Logic`.

    Attributes:
        clock_hz: of the first PL clock, as the board's clock registers say.
    """

    def __init__(self, bitstream: str) -> None:
        """Load the overlay whose ``.hwh`` lies beside ``bitstream``.

        Raises:
            ImportError: pynq is not installed. OverlayError: pynq could not load it.
        """
        import pynq

        self._pynq: Any = pynq
        try:
            self._overlay = pynq.Overlay(bitstream, download=False)
            self.reload()
            self.clock_hz = float(pynq.Clocks.fclk0_mhz) * 1e6
        except (OSError, RuntimeError, ValueError, KeyError, AttributeError) as error:
            raise OverlayError(
                f"pynq {pynq.__version__} could not load {Path(bitstream).name}: {type(error).__name__}: {error}",
                cure="Run the agent as root with pynq's environment; see docs/pynq-boards.md",
            ) from error

    def mmio(self, ip: str, size: int) -> Mmio:
        """Registers of an IP."""
        found = self._overlay.ip_dict.get(ip)
        if found is None:
            there = ", ".join(sorted(self._overlay.ip_dict)) or "none"
            raise OverlayError(
                f"the overlay has no IP {ip!r}; it has {there}", cure="Correct ip in overlay.toml"
            )
        mmio: Mmio = self._pynq.MMIO(found["phys_addr"], size, device=self._overlay.device)
        return mmio

    def channels(self, path: str) -> Any:  # noqa: ANN401
        """A DMA by its path in the overlay, e.g. ``hier_0.axi_dma_0``."""
        found = self._overlay
        for name in path.split("."):
            found = getattr(found, name, None)
            if found is None:
                raise OverlayError(f"the overlay has no DMA {path!r}", cure="Correct ip in overlay.toml")
        return found

    def allocate(self, size: int) -> Any:  # noqa: ANN401
        """Contiguous memory."""
        buffer = self._pynq.allocate(shape=(size,), dtype="u1", target=self._overlay.device)
        buffer[:] = 0
        return buffer

    def reload(self) -> None:
        """Download the bitstream."""
        overlay, clocks = self._overlay, self._pynq.Clocks
        enabled = {i: clock for i, clock in overlay.clock_dict.items() if clock.get("enable")}
        if all(clock.get("frequency", 0.0) is not None for clock in enabled.values()):
            overlay.download()
            return
        for i, clock in enabled.items():
            clocks.set_pl_clk(i, clock["divisor0"], clock["divisor1"])
        self._pynq.Bitstream.download(overlay, overlay.parser)

    def facts(self) -> Mapping[str, object]:
        """Version and device."""
        device = self._overlay.device
        return {
            "pynq": self._pynq.__version__,
            "device": str(getattr(device, "name", "")),
            "bitstream": Path(self._overlay.bitfile_name).name,
            "timestamp": str(self._overlay.timestamp),
        }

    def close(self) -> None:
        """The bitstream stays in the logic; a device-tree overlay is taken out."""
        self._overlay.free()


def open_pynq(manifest: Manifest, files: Sequence[str], root: Path = Path("/")) -> PynqLogic:
    """Check and load an overlay.

    Args:
        files: bitstream and ``.hwh``, named as they like; what comes behind is not for pynq.
        root: where the board's own type is looked for.

    Raises:
        ImportError: pynq is not installed.
        OverlayError: it is for another board, a file is not the one that the manifest pins, or pynq refused it.
    """
    if len(files) < 2:
        raise OverlayError(
            f"overlay {manifest.name} came without its bitstream and .hwh",
            cure="Build the bitstream and name both in overlay.toml; see docs/pynq-boards.md",
        )
    import pynq

    # Over PYNQ.remote this machine is not the board, and has no device tree.
    check_board(manifest, board_type(root) or str(getattr(pynq.Device.active_device, "name", "")))
    check_hash(files[0], manifest.bitstream_sha256, "bitstream")
    check_hash(files[1], manifest.hwh_sha256, ".hwh")
    return PynqLogic(_side_by_side(manifest, files))


def _side_by_side(manifest: Manifest, files: Sequence[str]) -> str:
    """Put both under one stem, which is how pynq finds the second; where the first is now."""
    folder = Path(files[0]).parent.parent / "overlays" / manifest.bitstream_sha256[:16]
    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in manifest.name)
    placed = [folder / f"{stem}.bit", folder / f"{stem}.hwh"]
    for source, target in zip(files, placed):
        draft = folder / f"{target.name}.{os.getpid()}"
        shutil.copyfile(source, draft)
        draft.replace(target)
    return str(placed[0])
