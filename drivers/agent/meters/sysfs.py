"""A meter made of numbers in files, as Linux shows sensors: each rail is one power file, or voltage times current.

Files stay open between readings and are read from their start each time; in sysfs that asks the chip anew.
"""

from __future__ import annotations

import errno
import math
import os
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import MeterError, SampleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

GONE = (errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOENT, errno.EBADF)


class Reading(NamedTuple):
    """A file with a number; at ``limit`` or beyond, either sign, the chip is at the end of its range."""

    path: Path
    limit: float = math.inf


class Rail(NamedTuple):
    """One rail: the product of its readings times ``scale`` is watts; ``guards`` are only held to their limits."""

    name: str
    readings: tuple[Reading, ...]
    scale: float
    guards: tuple[Reading, ...] = ()


class SysfsMeter:
    """Reads rails one after the other; the stamp lies in the middle of the readings.

    Attributes:
        channels: what the rails are read from.
        read_file: ``os.pread``; a benchmark puts one in its place that waits as a chip does.
    """

    waits = False

    def __init__(self, rails: Sequence[Rail], total: Sequence[str], about: Mapping[str, object]) -> None:
        """Nothing is opened before ``start``."""
        self.rails: Sequence[str] = [rail.name for rail in rails]
        self.total: Sequence[str] = list(total)
        self.about = about
        self.read_file: Callable[[int, int, int], bytes] = os.pread
        self.channels = rails
        self._files: list[tuple[float, list[tuple[int, float]], list[tuple[int, float]]]] = []
        self._last = -(1 << 63)

    def start(self, period: int) -> None:
        """Open the files.

        Raises:
            MeterError: one of them cannot be.
        """
        self.stop()
        for rail in self.channels:
            opened: list[tuple[int, float]] = []
            guards: list[tuple[int, float]] = []
            self._files.append((rail.scale, opened, guards))
            opened.extend((self._open(path), limit) for path, limit in rail.readings)
            guards.extend((self._open(path), limit) for path, limit in rail.guards)

    def _open(self, path: Path) -> int:
        try:
            return os.open(str(path), os.O_RDONLY)
        except OSError as error:
            self.stop()
            raise MeterError(f"{path} cannot be opened: {error.strerror}") from error

    def read(self, now: Callable[[], int]) -> tuple[int, list[float]]:
        """Watts of each rail.

        Raises:
            SampleError: a rail was disabled meanwhile, shows no number, or is at the end of its range.
            MeterError: a file is gone, or the meter was never started.
        """
        if not self._files:
            raise MeterError("the meter is not started")
        before = now()
        watts = []
        for scale, files, guards in self._files:
            value = scale
            for fd, limit in files:
                value *= self._number(fd, limit)
            for fd, limit in guards:
                self._number(fd, limit)
            watts.append(value)
        stamp = max((before + now()) // 2, self._last + 1)
        self._last = stamp
        return stamp, watts

    def stop(self) -> None:
        """Close the files."""
        for _, files, guards in self._files:
            for fd, _ in (*files, *guards):
                os.close(fd)
        self._files = []

    def _number(self, fd: int, limit: float) -> float:
        try:
            text = self.read_file(fd, 32, 0)
        except OSError as error:
            if error.errno in GONE:
                raise MeterError(f"the chip is gone: {error.strerror}") from error
            raise SampleError(SampleError.NO_ANSWER, f"the chip does not answer: {error.strerror}") from error
        try:
            value = float(text)
            if -limit < value < limit:  # neither is true of nan, nor of infinity whatever the limit
                return value
        except ValueError:
            value = math.nan
        if not text:
            raise MeterError("the file is empty: the chip is gone")
        if not math.isfinite(value):
            raise SampleError(SampleError.GARBAGE, f"no number: {text[:20]!r}")
        raise SampleError(SampleError.SATURATED, f"{value:g} is at the end of the range, {limit:g}")


def text_of(path: Path) -> str:
    """A file's text, empty where it is missing or answers with an error such as ENODATA."""
    try:
        return path.read_text("ascii", "replace").strip(" \t\n\0")
    except OSError:
        return ""


def number_of(path: Path) -> float | None:
    """A file's number, ``None`` where it holds none."""
    try:
        return float(text_of(path))
    except ValueError:
        return None
