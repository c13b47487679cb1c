"""How long work tells that it is getting on; the front doors draw it, the campaign only calls."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A bar, a log, or nothing."""

    def start(self, label: str, total: int) -> None:
        """Begin a piece of work of ``total`` parts."""

    def advance(self, n: int = 1) -> None:
        """So many parts more are done."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def done(self) -> None:
        """The piece begun last is finished."""


class Silent:
    """Says nothing."""

    def start(self, label: str, total: int) -> None:
        """Ignore."""

    def advance(self, n: int = 1) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""

    def done(self) -> None:
        """Ignore."""
