"""RAPL counters as files: energy rises with time, in the counter's own steps, and begins again at its range."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from drivers.virtual.meters.sysfs import SysfsTree

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_ZONES = "sys/class/powercap"
_SHARES = {
    "intel-rapl:0": ("package-0", 0.8),
    "intel-rapl:0:0": ("core", 0.5),
    "intel-rapl:0:1": ("dram", 0.2),
}
_RENEWED_S = 0.002


class VirtualRapl:
    """One package with its parts, and the methods of a rig; a thread renews the files while it is open."""

    def __init__(self, root: Path, *, range_uj: int = 262_143_328_850) -> None:
        """Lay the tree out below ``root``; the counters begin shortly before their range ends."""
        self._range = range_uj
        self._w = 1.0
        self._uj = range_uj - 1e5
        self._at = time.monotonic()
        self._still = False
        self._stop = threading.Event()
        self._guard = threading.Lock()
        files: dict[str, object] = {}
        for zone, (name, _) in _SHARES.items():
            files |= {f"{_ZONES}/{zone}/name": name, f"{_ZONES}/{zone}/max_energy_range_uj": range_uj}
        self._tree = SysfsTree(root, files)
        self._show()
        self._thread = threading.Thread(target=self._renew, name="rapl", daemon=True)

    def __enter__(self) -> VirtualRapl:
        """Begin to count."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop counting."""
        self._stop.set()
        self._thread.join(1.0)

    def draw(self, watts: float) -> None:
        """Draw so much in package and memory together."""
        with self._guard:
            self._count()
            self._w = watts

    def saturate(self) -> None:
        """Not shown: a counter has no end of its range but the wrap."""

    def garble(self) -> None:
        """Put text where a count belongs."""
        with self._guard:
            self._still = True
            self._tree.disturb(f"{_ZONES}/intel-rapl:0/energy_uj", "?\n")

    def mute(self) -> None:
        """Take the counters away."""
        with self._guard:
            self._still = True
            self._tree.hide()

    def mend(self) -> None:
        """Everything as before."""
        with self._guard:
            self._still = False
            self._tree.restore()
            self._show()

    def _renew(self) -> None:
        while not self._stop.wait(_RENEWED_S):
            with self._guard:
                if not self._still:
                    self._show()

    def _count(self) -> None:
        now = time.monotonic()
        self._uj += self._w * (now - self._at) * 1e6
        self._at = now

    def _show(self) -> None:
        self._count()
        for zone, (_, share) in _SHARES.items():
            self._tree.put(f"{_ZONES}/{zone}/energy_uj", round(self._uj * share) % self._range)
