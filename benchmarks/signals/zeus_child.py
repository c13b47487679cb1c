"""Drives Zeus' Jetson back end, as published, on a fake sysfs tree in virtual time; runs in an environment of its own.

Only its clock, its root folder and its two queues are ours: discovery of the rails, reading the files, polling and
summing are Zeus' own code. The tree's files change as the clock goes on. Standard input: JSON lines, one per run, each
``{"t": [s], "mv": [..], "ma": [..], "start": s, "end": s}``. Standard output: one line per run, joules over the window.
"""

from __future__ import annotations

import asyncio
import bisect
import importlib
import json
import pathlib
import queue
import sys
import tempfile
import types
from typing import Any

HWMON = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"


class Board:
    """A clock, and the files of one INA3221 rail that follow it."""

    def __init__(self, root: pathlib.Path, run: dict[str, Any]) -> None:
        """Lay out the tree."""
        self.now = 0.0
        self._folder = root / HWMON
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "in1_label").write_text("VDD_IN\n")
        self._run = run
        self._shown = -1
        self.pass_to(0.0)

    def pass_to(self, now: float) -> None:
        """Let time pass; the files hold the last value made by then."""
        self.now = now
        place = max(bisect.bisect_right(self._run["t"], now) - 1, 0)
        if place != self._shown:
            self._shown = place
            (self._folder / "in1_input").write_text(f"{self._run['mv'][place]}\n")
            (self._folder / "curr1_input").write_text(f"{self._run['ma'][place]}\n")


class Commands:
    """Asks for the energy at both edges of the window, then stops; waiting is what makes time pass."""

    def __init__(self, board: Board, asks: list[tuple[float, Any]]) -> None:
        """Keep them in order."""
        self._board = board
        self._asks = asks

    def get(self, timeout: float) -> object:
        """The next command, or ``queue.Empty`` when the time-out passed first."""
        due, command = self._asks[0]
        if due > self._board.now + timeout:
            self._board.pass_to(self._board.now + timeout)
            raise queue.Empty
        self._asks.pop(0)
        self._board.pass_to(due)
        return command


class Results:
    """Total energy at each question [mJ]."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.totals: list[float] = []

    def put(self, measurement: Any) -> None:  # noqa: ANN401 - a class of Zeus'
        """Keep the figure; the object goes on changing."""
        self.totals.append(measurement.total_energy_mj)


def main() -> int:
    """Play every run."""
    jetson: Any = importlib.import_module("zeus.device.soc.jetson")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        jetson.Path = lambda path: (
            root / str(path)[1:] if str(path).startswith("/sys") else pathlib.Path(path)
        )
        for line in sys.stdin:
            run = json.loads(line)
            board = Board(root, run)
            jetson.time = types.SimpleNamespace(monotonic=lambda board=board: board.now)
            rails = jetson.Jetson._discover_available_metrics(object.__new__(jetson.Jetson))  # noqa: SLF001
            command = jetson.Command
            asks = [(run["start"], command.READ), (run["end"], command.READ), (run["end"], command.STOP)]
            results = Results()
            polling = jetson._polling_process_async(Commands(board, asks), results, rails)  # noqa: SLF001
            asyncio.run(polling)
            print((results.totals[1] - results.totals[0]) / 1e3, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
