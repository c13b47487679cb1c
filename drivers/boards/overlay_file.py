"""Overlay manifests: ``overlay.toml`` beside the bitstreams that it describes.

::

    schema = 1
    name = "edge-npu"
    kind = "edge-npu"                 # executes compiled programs; "stream": one network, fed by AXI DMA
    ip = "npu_0"                      # instance in the .hwh, or the DMA's path ("hier_0.axi_dma_0")
    clock_mhz = 100.0

    [[build]]                         # one per bitstream
    boards = ["pynq-z1", "pynq-z2"]   # types that it was built for
    bitstream = "edge-npu.bit"
    bitstream_sha256 = "…"            # empty where none has been built
    hwh = "edge-npu.hwh"
    hwh_sha256 = "…"

    [input]                           # of kind "stream" only, and [output] alike
    kind = "integer"                  # or "float"
    dtype = "int16"
    shape = [784]
    scale = 0.015625                  # real value of one step
    zero_point = 0

    [golden]                          # of kind "stream", if there is one: the overlay has to give these answers
    file = "golden.npz"               # arrays input (n, ...) as requests bring them, output (n, ...) float32
    sha256 = "…"
    tolerance = 0.01                  # largest difference allowed
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from testbed.errors import ConfigError, did_you_mean
from testbed.model.lab import parse_options

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA = 1


class Build(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bitstream with its ``.hwh``, and the board types it was built for."""

    boards: tuple[str, ...]
    bitstream: str
    hwh: str
    bitstream_sha256: str = ""
    hwh_sha256: str = ""


class Numbers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How real numbers become a tensor of the overlay: ``round(x / scale) + zero_point``, or floats as they are."""

    kind: Literal["float", "integer"]
    dtype: str
    shape: tuple[int, ...]
    scale: float = 1.0
    zero_point: int = 0


class Golden(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers that were made without the board, e.g. by a C simulation; they are asked for when a model is loaded."""

    file: str
    sha256: str
    tolerance: float = 0.0


class Overlay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A manifest as it stands in its file; see the head of this module."""

    schema: int
    name: str
    kind: Literal["edge-npu", "stream"]
    ip: str
    build: tuple[Build, ...]
    clock_mhz: float = 100.0
    input: Numbers | None = None
    output: Numbers | None = None
    golden: Golden | None = None


class Chosen(Struct, frozen=True, kw_only=True):
    """What a board gets of a manifest.

    Attributes:
        manifest: what its agent is told; see `drivers.agent.runtimes.overlay.manifest`.
        files: bitstream, ``.hwh`` and golden answers, if there are any; sha256: their hashes.
        clock_hz: that it was built for.
    """

    manifest: dict[str, Any]
    files: tuple[Path, ...]
    sha256: tuple[str, ...]
    clock_hz: float

    def check(self) -> None:
        """All files are there and are the ones that the manifest pins.

        Raises:
            ConfigError: one is not.
        """
        for key, path, sha256 in zip(_PINS, self.files, self.sha256, strict=False):
            _verify(key, path, sha256)


def read_overlay(file: Path) -> Overlay:
    """Read and check a manifest.

    Raises:
        ConfigError: names file, key and cure.
    """
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=file, cure="Name an overlay.toml") from error
    overlay = parse_options(raw, Overlay, file=file, key="")
    if overlay.schema != SCHEMA:
        raise ConfigError(
            f"schema {overlay.schema} is not known",
            file=file,
            key="schema",
            cure=f"This version reads {SCHEMA}",
        )
    if overlay.kind == "stream" and (overlay.input is None or overlay.output is None):
        raise ConfigError(
            "an overlay fed by DMA must say what goes in and what comes out",
            file=file,
            key="input" if overlay.input is None else "output",
            cure="Add the table; docs/pynq-boards.md has an example",
        )
    if overlay.golden is not None and overlay.kind != "stream":
        raise ConfigError(
            "only an overlay that holds one network can have answers of its own",
            file=file,
            key="golden",
            cure="Leave it out: programs are checked against the integer model",
        )
    return overlay


def choose(overlay: Overlay, board: str, file: Path) -> Chosen:
    """What a board of this type gets.

    Raises:
        ConfigError: there is no build for it.
    """
    types: Iterable[str] = {name for build in overlay.build for name in build.boards}
    for number, build in enumerate(overlay.build):
        if board not in build.boards:
            continue
        golden = () if overlay.golden is None else (overlay.golden,)
        names = (build.bitstream, build.hwh, *(one.file for one in golden))
        for name in names:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                cure = "Keep bitstreams beside their manifest"
                raise ConfigError(f"{name!r} leaves the folder", file=file, key=f"build[{number}]", cure=cure)
        told = msgspec.to_builtins(overlay)
        return Chosen(
            manifest={
                **{
                    key: told[key]
                    for key in ("name", "kind", "ip", "input", "output", "golden")
                    if told[key] is not None
                },
                "boards": list(build.boards),
                "bitstream_sha256": build.bitstream_sha256,
                "hwh_sha256": build.hwh_sha256,
            },
            files=tuple(file.parent / name for name in names),
            sha256=(build.bitstream_sha256, build.hwh_sha256, *(one.sha256 for one in golden)),
            clock_hz=overlay.clock_mhz * 1e6,
        )
    raise ConfigError(f"no build for {board!r}", file=file, key="build", cure=did_you_mean(board, types))


_PINS = ("bitstream_sha256", "hwh_sha256", "golden.sha256")
"""Keys of the hashes of `Chosen.files`, in their order."""


def _verify(key: str, path: Path, sha256: str) -> None:
    if not sha256:
        raise ConfigError(
            f"no {path.name} has been built",
            file=path.parent / "overlay.toml",
            key=key,
            cure="Build it as the README beside it says, and write its SHA-256 here",
        )
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", file=path, cure="Build it, or copy it there"
        ) from error
    if found != sha256:
        raise ConfigError(
            f"hashes to {found[:12]}…, the manifest pins {sha256[:12]}…",
            file=path,
            key=key,
            cure="Restore the file, or pin the new one if the change was meant",
        )
