"""An INA226 on a microcontroller that nobody has: prints its header and a line a sample on a pseudo-terminal."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from drivers.virtual.meters.serving import PtyServing

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_BUS_MV = 5000.0
_STEP_MA = 0.025  # 2.5 uV over 100 mOhm
_FULL_SCALE_MA = 819.2


class VirtualCsv:
    """The instrument, and the methods of a rig."""

    def __init__(
        self,
        port: Path,
        *,
        period_s: float = 0.005,
        begin_us: int = 0,
        drift_ppm: float = 0.0,
        header: bool = True,
    ) -> None:
        """Publish it as ``port``; its clock shows ``begin_us`` now and gains ``drift_ppm``."""
        self._period_s = period_s
        self._zero = time.monotonic()
        self._begin_us = begin_us
        self._drift = 1 + drift_ppm / 1e6
        self._header = header
        self._w = 0.0
        self._trouble = ""
        self._stop = threading.Event()
        self._line = PtyServing(port)
        self._thread = threading.Thread(target=self._print, name="microcontroller", daemon=True)

    def __enter__(self) -> VirtualCsv:
        """Begin to print."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join(5.0)
        self._line.__exit__(None, None, None)

    @property
    def where(self) -> str:
        """As the lab file names it."""
        return self._line.where

    def draw(self, watts: float) -> None:
        """Show so much."""
        self._w = watts

    def saturate(self) -> None:
        """Put full scale over the shunt."""
        self._trouble = "full"

    def garble(self) -> None:
        """Break lines in the middle."""
        self._trouble = "broken"

    def mute(self) -> None:
        """Unplug it."""
        self._line.mute()

    def mend(self) -> None:
        """Everything as before."""
        self._trouble = ""
        self._line.mend()

    def restart(self) -> None:
        """Reset the microcontroller: its clock begins anew, and it prints its header."""
        self._zero, self._begin_us = time.monotonic(), 0
        self._line.say("t_us,bus_mV,current_mA,power_mW\r\n")

    def _print(self) -> None:
        if self._header:
            self._line.say("t_us,bus_mV,current_mA,power_mW\r\n")
        due = time.monotonic()
        while not self._stop.is_set():
            self._line.say(self._text())
            due = max(due + self._period_s, time.monotonic())  # late once is not early next time
            self._stop.wait(max(due - time.monotonic(), 0.0))

    def _text(self) -> str:
        t_us = (self._begin_us + round((time.monotonic() - self._zero) * self._drift * 1e6)) % (1 << 32)
        current = round(self._w / _BUS_MV * 1e6 / _STEP_MA) * _STEP_MA
        if self._trouble == "full":
            current = _FULL_SCALE_MA
        if self._trouble == "broken":
            return f"{t_us},{_BUS_MV:.2f},\r\n"
        return f"{t_us},{_BUS_MV:.2f},{current:.3f},{current * _BUS_MV / 1e3:.3f}\r\n"
