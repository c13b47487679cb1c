"""The error tree: exceptions are for what should not happen, and carry fields, not only text.

Rejected, expired, late and degraded requests are outcomes (values), never exceptions.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class TestbedError(Exception):
    """Root of everything this project raises on purpose.

    Attributes:
        message: what happened, one sentence.
        cure: what the reader can do about it, or an empty string.
    """

    __test__ = False  # pytest must not take the name for a test class

    def __init__(self, message: str, *, cure: str = "") -> None:
        """Keep the parts apart so that a program can read them."""
        self.message = message
        self.cure = cure
        super().__init__(message)

    def __str__(self) -> str:
        """The message, then the cure."""
        return f"{self.message}. {self.cure}" if self.cure else self.message


class ConfigError(TestbedError):
    """A file or argument written by a person is wrong.

    Attributes:
        file: the file at fault, or ``None`` for a command-line argument.
        key: dotted path of the key at fault, or an empty string.
    """

    def __init__(
        self, message: str, *, file: Path | str | None = None, key: str = "", cure: str = ""
    ) -> None:
        """Name file, key and cure."""
        self.file = str(file) if file is not None else None
        self.key = key
        super().__init__(message, cure=cure)

    def __str__(self) -> str:
        """``file: key: message. cure``."""
        where = ": ".join(part for part in (self.file, self.key) if part)
        return f"{where}: {super().__str__()}" if where else super().__str__()


class UnknownKeyError(ConfigError):
    """A table has a key that nothing reads."""


class LinkError(TestbedError):
    """Bytes could not be carried: refused, timed out, cut, or the other side is not who it should be.

    Attributes:
        link: the link's name, e.g. ``ssh://jetson``.
    """

    def __init__(self, message: str, *, link: str = "", cure: str = "") -> None:
        """Name the link."""
        self.link = link
        super().__init__(message, cure=cure)

    def __str__(self) -> str:
        """``link: message. cure``."""
        return f"{self.link}: {super().__str__()}" if self.link else super().__str__()


class HostKeyError(LinkError):
    """The host key is not the pinned one; the connection was refused before anything was sent.

    Attributes:
        seen: fingerprint offered by the other side, ``SHA256:…``.
        expected: fingerprint that was pinned, or an empty string if none is known.
    """

    def __init__(self, *, link: str, seen: str, expected: str = "") -> None:
        """Name both fingerprints."""
        self.seen = seen
        self.expected = expected
        if expected:
            message = f"host key {seen} is not the one pinned ({expected})"
            cure = "If the board was reinstalled, verify the key on its console and update the lab file or known_hosts"
        else:
            message = f"host key {seen} is neither pinned nor in known_hosts"
            cure = "Verify the key on the board's console, and give it as `fingerprint` in the lab file"
        super().__init__(message, link=link, cure=cure)


class BoardError(TestbedError):
    """The board, or the agent on it, failed to do what was asked.

    Attributes:
        board: board name in the lab file.
        traceback: the board-side traceback, or an empty string.
    """

    def __init__(self, message: str, *, board: str = "", traceback: str = "", cure: str = "") -> None:
        """Name the board and carry its traceback."""
        self.board = board
        self.traceback = traceback
        super().__init__(message, cure=cure)

    def __str__(self) -> str:
        """``board: message. cure``."""
        return f"{self.board}: {super().__str__()}" if self.board else super().__str__()


class PolicyError(TestbedError):
    """A policy broke its contract: ordered for an unknown board, or answered a request that is not open."""


class MeterError(TestbedError):
    """A power meter could not be read, or its samples cannot answer the question asked."""


class SampleError(MeterError):
    """One sample could not be had; the next one may. Never a reason to invent a figure.

    Attributes:
        kind: ``SATURATED`` (the meter is at the end of its range: the truth is larger than what it shows),
            ``GARBAGE`` (what came is no reading) or ``NO_ANSWER`` (nothing came in time).
    """

    SATURATED = "saturated"
    GARBAGE = "garbage"
    NO_ANSWER = "no answer"

    def __init__(self, kind: str, message: str) -> None:
        """Say of which kind."""
        self.kind = kind
        super().__init__(message)


class LeaseError(TestbedError):
    """A board is held by somebody else, or our lease of it is over.

    Attributes:
        board: board name in the lab file, or what the lease is of.
        code: ``fence`` where a newer holder has had the board, ``busy`` where an older one still has it.
    """

    def __init__(self, message: str, *, board: str = "", code: str = "busy", cure: str = "") -> None:
        """Name the board."""
        self.board = board
        self.code = code
        super().__init__(message, cure=cure)

    def __str__(self) -> str:
        """``board: message. cure``."""
        return f"{self.board}: {super().__str__()}" if self.board else super().__str__()


class StoreError(TestbedError):
    """A run folder cannot be written or read.

    Attributes:
        file: the file at fault.
    """

    def __init__(self, message: str, *, file: Path | str | None = None, cure: str = "") -> None:
        """Name the file."""
        self.file = str(file) if file is not None else None
        super().__init__(message, cure=cure)

    def __str__(self) -> str:
        """``file: message. cure``."""
        return f"{self.file}: {super().__str__()}" if self.file else super().__str__()


class WireError(TestbedError):
    """What goes over a link breaks the rules that ``testbed.wire`` states."""


class LocalWireError(WireError):
    """Our side asked for something that the wire does not allow: nothing was sent."""


class RemoteWireError(WireError):
    """The other side sent, intact, what the wire does not allow.

    Attributes:
        messages: what arrived in order before it, to be handled all the same.
    """

    def __init__(self, message: str, *, cure: str = "") -> None:
        """Start without messages; the session adds what it had."""
        self.messages: list[object] = []
        super().__init__(message, cure=cure)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A cure naming the closest known word, or listing them all."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(choices)}" if choices else ""
