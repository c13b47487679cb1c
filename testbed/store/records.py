"""The request records of one journal, read from the file each time they are asked for.

A million records as objects would fill the memory; as lines of a file they cost nothing until they are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import msgspec

from testbed.errors import StoreError
from testbed.model.record import RequestRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARK = b'{"type":"request"'
"""What the line of a request begins with, as this package writes it."""

_DECODER = msgspec.json.Decoder(RequestRecord)


class Seen:
    """Which requests have a record already: a bit each where they are numbered from 0, as a workload does."""

    def __init__(self, expected: int) -> None:
        """Nobody yet."""
        self._bits = bytearray(expected)
        self._others: set[int] = set()

    def again(self, request: int) -> bool:
        """Remember a request; whether it was there before."""
        if 0 <= request < len(self._bits):
            before = bool(self._bits[request])
            self._bits[request] = 1
            return before
        before = request in self._others
        self._others.add(request)
        return before


class Records(Sequence[RequestRecord]):
    """The records of a journal in the order written, one for each request; a sequence that reads its file anew."""

    def __init__(self, path: Path, count: int, skip: frozenset[int], lines: int) -> None:
        """Point at a journal that was looked through.

        Args:
            count: records that are of use. skip: numbers of lines that look like one and are not, from 1.
            lines: complete lines that were there then; what a live run adds later is not looked at.
        """
        self._path = path
        self._count = count
        self._skip = skip
        self._lines = lines

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[RequestRecord]:
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if number > self._lines:
                        return
                    if line.startswith(MARK) and number not in self._skip:
                        yield _DECODER.decode(line)
        except (OSError, msgspec.DecodeError) as error:
            raise StoreError(f"changed while it was read: {error}", file=self._path) from error

    @overload
    def __getitem__(self, place: int) -> RequestRecord: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[RequestRecord, ...]: ...
    def __getitem__(self, place: int | slice) -> RequestRecord | tuple[RequestRecord, ...]:
        return tuple(self)[place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Records | tuple):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]
