"""What an overlay is, as the host tells it from ``overlay.toml``; checked against the board before it is loaded."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from drivers.agent.runtimes.overlay.logic import OverlayError

if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_MODELS = ("proc/device-tree/chosen/pynq_board", "proc/device-tree/model")
_PIECE = 1 << 20


class Quantisation(NamedTuple):
    """How numbers become a tensor of an overlay that is fed by DMA: integers are ``round(x / scale) + zero_point``.

    ``kind`` is ``float`` (no integers at all) or ``integer``; ``dtype`` as numpy writes it; ``shape`` of one item.
    """

    kind: str
    dtype: str
    shape: Sequence[int]
    scale: float = 1.0
    zero_point: int = 0


class Golden(NamedTuple):
    """Inputs with the answers that the overlay has to give, ``tolerance`` apart at most; ``sha256`` of their file."""

    sha256: str
    tolerance: float


class Manifest(NamedTuple):
    """An overlay. ``kind`` is ``edge-npu`` (executes programs) or ``stream`` (one network, fed by DMA).

    ``boards`` are the board types it was built for, empty for any; ``ip`` is the accelerator's instance in the
    ``.hwh``, or the DMA's path; ``input``, ``output`` and ``golden`` only for ``stream``.
    """

    name: str
    kind: str
    ip: str
    boards: Sequence[str]
    bitstream_sha256: str
    hwh_sha256: str
    input: Quantisation | None
    output: Quantisation | None
    golden: Golden | None = None


def read_manifest(told: Mapping[str, Any]) -> Manifest:
    """The manifest from a model's options.

    Raises:
        OverlayError: a key is missing or of a wrong type.
    """
    try:
        return Manifest(
            name=str(told["name"]),
            kind=str(told["kind"]),
            ip=str(told["ip"]),
            boards=tuple(map(str, told.get("boards", ()))),
            bitstream_sha256=str(told.get("bitstream_sha256", "")),
            hwh_sha256=str(told.get("hwh_sha256", "")),
            input=_quantisation(told.get("input")),
            output=_quantisation(told.get("output")),
            golden=_golden(told.get("golden")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OverlayError(
            f"the overlay's manifest cannot be used: {type(error).__name__}: {error}",
            cure="Compare overlay.toml with docs/pynq-boards.md",
        ) from error


def _quantisation(told: Mapping[str, Any] | None) -> Quantisation | None:
    if told is None:
        return None
    return Quantisation(
        kind=str(told["kind"]),
        dtype=str(told["dtype"]),
        shape=tuple(int(n) for n in told["shape"]),
        scale=float(told.get("scale", 1.0)),
        zero_point=int(told.get("zero_point", 0)),
    )


def _golden(told: Mapping[str, Any] | None) -> Golden | None:
    return None if told is None else Golden(str(told["sha256"]), float(told["tolerance"]))


def board_type(root: Path = Path("/")) -> str:
    """What this board calls itself: the PYNQ image's name for it, else the device tree's model, else ``$BOARD``."""
    for name in _MODELS:
        try:
            text = (root / name).read_bytes().decode("utf-8", "replace").strip("\0 \n")
        except OSError:
            continue
        if text:
            return text
    return os.environ.get("BOARD", "")


def check_board(manifest: Manifest, found: str) -> None:
    """The bitstream is for this board: one of another part configures nothing, or drives the wrong pins.

    Raises:
        OverlayError: it is for other boards.
    """
    if not manifest.boards:
        return
    here = _plain(found)
    if not any(_plain(board) in here for board in manifest.boards):
        raise OverlayError(
            f"overlay {manifest.name} is for {', '.join(manifest.boards)}, this board is {found or 'of no known type'}",
            cure="Build the overlay for this board, and name it in the manifest's boards",
        )


def check_hash(path: str, sha256: str, what: str) -> None:
    """A file is the one that the manifest pins.

    Raises:
        OverlayError: it pins none, the file cannot be read, or is another one.
    """
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise OverlayError(
            f"the manifest pins no SHA-256 of the {what}",
            cure=f"Build it, and write the SHA-256 of the {what} into overlay.toml",
        )
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            for piece in iter(lambda: file.read(_PIECE), b""):
                digest.update(piece)
    except OSError as error:
        raise OverlayError(f"the {what} cannot be read: {error}") from error
    found = digest.hexdigest()
    if found != sha256:
        raise OverlayError(
            f"the {what} hashes to {found[:12]}…, the manifest pins {sha256[:12]}…",
            cure="Restore the file, or pin the new one if the change was meant",
        )


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
