"""What happens to a lab, for the journal: kept until there is one to write it into."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from testbed.store.schema import Note

if TYPE_CHECKING:
    from collections.abc import Callable


class Notes:
    """Takes notes at any time; between trials they wait for the next one's journal."""

    def __init__(self) -> None:
        """None yet."""
        self._waiting: list[Note] = []
        self._sink: Callable[[Note], None] | None = None

    def write(self, text: str) -> None:
        """Note something now."""
        note = Note(t=time.monotonic_ns(), text=text)
        if self._sink is None:
            self._waiting.append(note)
        else:
            self._sink(note)

    def into(self, sink: Callable[[Note], None] | None) -> None:
        """Hand what waits, and what comes from now on, to ``sink``; ``None`` keeps it waiting again."""
        self._sink = sink
        if sink is not None:
            waiting, self._waiting = self._waiting, []
            for note in waiting:
                sink(note)
