"""A PTDaemon that nobody has, with an analyser behind it: the dialogue that MLPerf's director has with the real one.

Samples are made at the interval asked for, stamped with wall time to the millisecond; a range that is too small shows
what the analyser shows beyond it.
"""

from __future__ import annotations

import datetime
import threading
import time
from typing import TYPE_CHECKING

from drivers.virtual.meters.serving import TcpServing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

_VOLTS = 230.0
_POWER_FACTOR = 0.9
_AUTO = {"A": "0.500000", "V": "300.000000"}
IDENTITY = (
    "VirtualWT310,1000,1,1,1,1,0,1,1,version=1.9.2-virtual,OS=none,mode=power,1,1,1,0,0,no_cal_date,TESTBED;0"
)


class VirtualPtd:
    """The daemon, and the methods of a rig."""

    def __init__(self, *, reads: str = "RL,*,*") -> None:
        """Listen; ``reads`` is the form of the question for samples that it takes."""
        self.heard: list[str] = []
        self._reads = reads
        self._guard = threading.Lock()
        self._w = 0.0
        self._trouble = ""
        self._ranges = {"A": "Auto", "V": "Auto"}
        self._mark = ""
        self._interval_s = 0.0
        self._due = 0.0
        self._serving = TcpServing(self._answer, end="\r\n")

    def __enter__(self) -> VirtualPtd:
        """It is listening already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self._serving.__exit__(kind, value, trace)

    @property
    def where(self) -> str:
        """As the lab file names it."""
        return self._serving.where

    def draw(self, watts: float) -> None:
        """Draw so much from the mains."""
        with self._guard:
            self._w = watts

    def saturate(self) -> None:
        """Draw ten times the range."""
        self._trouble = "over"

    def garble(self) -> None:
        """Stall the analyser: it shows -2 W."""
        self._trouble = "stalled"

    def mute(self) -> None:
        """End the daemon."""
        self._serving.mute()

    def mend(self) -> None:
        """Everything as before."""
        self._trouble = ""
        self._serving.mend()

    def _answer(self, line: str) -> Iterable[str]:
        self.heard.append(line)
        command, *words = line.split(",")
        with self._guard:
            if line == "Hello":
                return ["Hello, PTDaemon here!"]
            if line == "Identify":
                return [IDENTITY]
            if line == "RR":
                auto, value = zip(*(self._told(letter) for letter in ("A", "V")), strict=True)
                return [f"Ranges,{auto[0]},{value[0]},{auto[1]},{value[1]}"]
            if command == "SR" and len(words) == 2 and words[0] in self._ranges:
                self._ranges[words[0]] = words[1]
                return [f"Range {words[0]} changed"]
            if command == "Go" and len(words) == 3:
                self._interval_s, self._mark = float(words[0]) / 1e3, words[2]
                self._due = time.monotonic() + self._interval_s
                return [
                    f"Starting untimed measurement, maximum 500000 samples at {words[0]}ms with 0 rampup samples"
                ]
            if line == "Stop":
                running, self._mark = bool(self._mark), ""
                return ["Stopping untimed measurement" if running else "Error: no measurement to stop"]
            if line in ("RL,*,*", "RL", "DC-RL"):
                return self._unread(line)
            if line == "Watts":
                return [f"Watts,{self._w:.4f}"]
            if line == "Uncertainty":
                return ["Uncertainty,0.0031"]
            return ["Unknown command"]

    def _told(self, letter: str) -> tuple[str, str]:
        fixed = self._ranges[letter]
        return ("1", _AUTO[letter]) if fixed == "Auto" else ("0", f"{float(fixed):.6f}")

    def _unread(self, line: str) -> list[str]:
        if line != self._reads:
            return ["Unknown command" if self._reads == "DC-RL" else "Invalid number of parameters"]
        samples = []
        now = time.monotonic()
        while self._mark and self._due <= now:
            wall = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=now - self._due)
            samples.append(self._sample(wall))
            self._due += self._interval_s
        return [f"Last {len(samples)} samples", *samples]

    def _sample(self, wall: datetime.datetime) -> str:
        watts = self._w
        amps = watts / _VOLTS / _POWER_FACTOR
        if self._trouble == "stalled":
            watts = -2.0
        if self._trouble == "over":
            amps *= 10
        stamp = wall.strftime("%m-%d-%Y %H:%M:%S.") + f"{wall.microsecond // 1000:03d}"
        figures = f"Watts,{watts:.3f},Volts,{_VOLTS:.2f},Amps,{amps:.5f},PF,{_POWER_FACTOR:.3f}"
        return f"Time,{stamp},{figures},Mark,{self._mark}"
