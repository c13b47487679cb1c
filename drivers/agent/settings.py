"""Settings of the board that a run changes: set, and put back as they were, also after an agent that was killed.

What was there before is kept in a file before the first change. The file names the agent that made the changes: an
older agent that ends late finds another name (or no file) there and leaves the board alone; a new agent that finds
what a dead one left puts that back before it serves.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import TYPE_CHECKING

from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Protocol

    class Knobs(Protocol):
        """One family of settings."""

        def names(self) -> list[str]:
            """Those that are there."""

        def owns(self, name: str) -> bool:
            """Whether such a setting is one of these, there or not."""

        def touches(self, name: str) -> Sequence[str]:
            """Others of these that setting this one changes too."""

        def read(self, name: str) -> str:
            """What holds now; raises `SettingError`."""

        def write(self, name: str, value: str) -> None:
            """Set; raises `SettingError`."""


class SettingError(TestbedError):
    """A setting is unknown, its value is wrong, or the board refused it."""


class BoardSettings:
    """All settings of a board, by name."""

    def __init__(self, knobs: Sequence[Knobs], file: Path | None = None) -> None:
        """Keep originals in ``file``; ``None`` keeps them in memory only."""
        self._knobs = knobs
        self._file = file
        self._owner = os.urandom(8).hex()
        self._original: dict[str, str] = {}
        self._turn = threading.RLock()  # the line may end while a setting is being changed

    def names(self) -> list[str]:
        """Settings that this board answers to."""
        return [name for knobs in self._knobs for name in knobs.names()]

    def read(self, name: str) -> str:
        """The value that holds now.

        Raises:
            SettingError: no such setting, or it cannot be read.
        """
        return self._of(name).read(name)

    def write(self, name: str, value: str) -> str:
        """Set, keeping what was there before the first change, of what it touches too; give what holds now.

        ``value`` ``restore`` puts that back.

        Raises:
            SettingError: no such setting, a malformed value, the board refused it, or the original cannot be kept.
        """
        with self._turn:
            return self._write(self._of(name), name, value)

    def _write(self, knobs: Knobs, name: str, value: str) -> str:
        before = knobs.read(name)
        if value == "restore":
            for each in (name, *knobs.touches(name)):
                if each in self._original:
                    self._put_back(each)
            return knobs.read(name)
        if name not in self._original:
            self._original[name] = before
            for other in knobs.touches(name):
                self._original.setdefault(other, knobs.read(other))
            self._keep()
        knobs.write(name, value)
        return knobs.read(name)

    def restore(self) -> list[str]:
        """Put back what this agent changed, unless another has taken the board over since; give what could not be."""
        with self._turn:
            if self._file is not None and self._stored()[0] != self._owner:
                self._original.clear()
            return self._put_all_back()

    def clean_up(self) -> list[str]:
        """Put back what an agent left that was killed, or cut off and taken over; give what could not be."""
        with self._turn:
            _, left = self._stored()
            self._original = {**left, **self._original}
            if self._original:
                try:
                    self._keep()  # ours from here on: the other one must not put it back a second time
                except SettingError as error:
                    return [str(error)]
            return self._put_all_back()

    def _put_all_back(self) -> list[str]:
        # What touches others first: a power mode sets clocks anew, and those were others before.
        last_first = list(reversed(self._original))
        order = sorted(last_first, key=lambda name: not self._touches(name))
        tried = [self._try_back(name) for name in order]
        return [failure for failure in tried if failure]

    def _try_back(self, name: str) -> str:
        try:
            self._put_back(name)
        except SettingError as error:
            return f"{name}: {error}"
        return ""

    def _touches(self, name: str) -> bool:
        return any(knobs.owns(name) and knobs.touches(name) for knobs in self._knobs)

    def _put_back(self, name: str) -> None:
        self._of(name).write(name, self._original[name])
        del self._original[name]  # only now: a refusal leaves it to be tried again
        self._keep()

    def _of(self, name: str) -> Knobs:
        for knobs in self._knobs:
            if knobs.owns(name):
                return knobs
        raise SettingError(f"this board has no setting {name!r}")

    def _stored(self) -> tuple[str, dict[str, str]]:
        """Who changed the board, and what was there before; nothing for no file or a torn one."""
        if self._file is None:
            return "", {}
        try:
            kept = json.loads(self._file.read_text("utf-8"))
            return str(kept["owner"]), {str(k): str(v) for k, v in kept["original"].items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return "", {}

    def _keep(self) -> None:
        if self._file is None:
            return
        try:
            if not self._original:
                if self._file.exists():
                    self._file.unlink()
                return
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_suffix(f".{os.getpid()}")
            with draft.open("w", encoding="utf-8") as file:
                json.dump({"owner": self._owner, "original": self._original}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._file)
        except OSError as error:
            raise SettingError(f"what was there before cannot be kept in {self._file}: {error}") from error


def output_of(command: list[str], seconds: float) -> str:
    """Standard output of a command that must succeed in time.

    Raises:
        SettingError: it is missing, failed, or took too long.
    """
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=True
        )
    except subprocess.CalledProcessError as error:
        said = f"{error.stdout}\n{error.stderr}".strip().replace("\n", " / ")[:400]
        raise SettingError(f"{' '.join(command)} failed: {said}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingError(f"{' '.join(command)} failed: {error}") from error
    return done.stdout
