"""Answers of the integer model that were computed beforehand, found again by what lies in the input buffer.

A live board has a millisecond for an image, the model on a shared host takes several. ``<model>.answers.npz``:
``program_sha256`` uint8 (32,), ``digests`` uint8 (n, 16) (BLAKE2b of the input as it lies in DDR), ``totals`` uint32
(n, exits) and ``logits`` int8 (n, exits, classes) of every exit, whether a request leaves there or not.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from drivers.virtual.pynq.cycles import PREPARE
from drivers.virtual.pynq.model_fabric import Ended
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

SUFFIX = ".answers.npz"
DIGEST_BYTES = 16


class Remembered:
    """The answers to one program."""

    def __init__(
        self,
        digests: npt.NDArray[np.uint8],
        totals: npt.NDArray[np.uint32],
        logits: npt.NDArray[np.int8],
    ) -> None:
        """Keep them.

        Raises:
            ValueError: the arrays are not of the shapes above.
        """
        n = len(digests)
        if digests.shape != (n, DIGEST_BYTES) or totals.ndim != 2 or logits.shape[:2] != totals.shape != (n,):
            raise ValueError("answers need digests (n, 16), totals (n, exits) and logits (n, exits, classes)")
        if len(totals) != n:
            raise ValueError(f"{len(totals)} answers to {n} inputs")
        self._rows = {digest.tobytes(): row for row, digest in enumerate(digests)}
        self._totals: list[list[int]] = totals.tolist()
        self._labels: list[list[int]] = logits.argmax(2).tolist()
        self._logits = logits

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, given: bytes, limits: Sequence[int]) -> Ended | None:
        """The answer to an input, leaving at the first exit whose limit allows it; ``None`` for an unknown input."""
        row = self._rows.get(digest_of(given))
        if row is None:
            return None
        totals = self._totals[row]
        last = len(totals) - 1
        exit_ = next((k for k, total in enumerate(totals) if total <= limits[k] or k == last), last)
        return Ended(
            exit=exit_,
            label=self._labels[row][exit_],
            total=totals[exit_],
            logits=self._logits[row, exit_].tobytes(),
        )


def digest_of(given: bytes) -> bytes:
    """What an input is known by."""
    return hashlib.blake2b(given, digest_size=DIGEST_BYTES).digest()


def read_remembered(program: Path, sha256: str) -> Remembered | None:
    """The answers beside a program file; ``None`` where nobody computed any.

    Raises:
        ConfigError: they are damaged, or belong to another program.
    """
    file = program.with_suffix(SUFFIX)
    if not file.is_file():
        return None
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            made_with = stored["program_sha256"].tobytes().hex()
            found = Remembered(stored["digests"], stored["totals"], stored["logits"])
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ConfigError(f"no answers can be read from it: {error}", file=file, cure=PREPARE) from error
    if made_with != sha256:
        raise ConfigError("belongs to another program", file=file, key="program_sha256", cure=PREPARE)
    return found
