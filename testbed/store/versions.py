"""Opens header and footer of any schema version that this program knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from testbed.errors import StoreError
from testbed.store.schema import SCHEMA, Footer, Header

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T", Header, Footer)


class _Version(msgspec.Struct):
    schema: int


def load_header(folder: Path) -> Header:
    """The header of a run folder.

    Raises:
        StoreError: there is no run, its header is damaged, or its schema is not known here.
    """
    path = folder / "header.json"
    if not path.is_file():
        raise StoreError(
            "holds no run (no header.json)", file=folder, cure="Give the folder that a run wrote"
        )
    return _load(path, Header)


def load_footer(folder: Path) -> Footer | None:
    """The footer, or ``None`` where the run has none (it is under way, or was killed).

    Raises:
        StoreError: it is damaged, or its schema is not known here.
    """
    path = folder / "footer.json"
    return _load(path, Footer) if path.is_file() else None


def _load(path: Path, kind: type[T]) -> T:
    try:
        data = path.read_bytes()
        version = msgspec.json.decode(data, type=_Version).schema
        if version != SCHEMA:
            raise StoreError(
                f"schema {version} is not known to this version, which reads {SCHEMA}",
                file=path,
                cure="Use the version that wrote it, or a newer one",
            )
        return msgspec.json.decode(data, type=kind)
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", file=path) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"is damaged: {error}", file=path, cure="Restore it from a copy") from error
