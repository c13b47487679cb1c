"""A table as plain text cells."""

from __future__ import annotations

from msgspec import Struct


class Table(Struct, frozen=True, kw_only=True):
    """Title, head, body and remarks; the first ``names`` columns are names, the others figures."""

    title: str
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    names: int = 1
    remarks: tuple[str, ...] = ()
