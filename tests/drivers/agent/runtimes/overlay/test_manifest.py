"""What an overlay says it is, against the board and the files that are there."""

from __future__ import annotations

import hashlib

import pytest

from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.manifest import board_type, check_board, check_hash, read_manifest
from tests.drivers.agent.runtimes.overlay.conftest import MANIFEST


def test_a_manifest_is_read():
    told = {
        **MANIFEST,
        "kind": "stream",
        "boards": ["pynq-z2"],
        "input": {"kind": "integer", "dtype": "int16", "shape": [784], "scale": 0.5, "zero_point": 3},
        "output": {"kind": "float", "dtype": "float32", "shape": [10]},
    }
    manifest = read_manifest(told)
    assert (manifest.boards, manifest.input.zero_point, manifest.output.scale) == (("pynq-z2",), 3, 1.0)
    assert read_manifest(MANIFEST).input is None


@pytest.mark.parametrize(
    "told",
    [{}, {**MANIFEST, "boards": 3}, {**MANIFEST, "input": {"kind": "float"}}, {**MANIFEST, "output": 7}],
)
def test_one_that_lacks_something_is_refused(told):
    with pytest.raises(OverlayError, match="manifest"):
        read_manifest(told)


def test_the_board_tells_its_type(tmp_path, monkeypatch):
    monkeypatch.setenv("BOARD", "Pynq-Z1")
    assert board_type(tmp_path) == "Pynq-Z1"
    tree = tmp_path / "proc/device-tree"
    (tree / "chosen").mkdir(parents=True)
    (tree / "model").write_bytes(b"TUL PYNQ-Z2\0")
    assert board_type(tmp_path) == "TUL PYNQ-Z2"
    (tree / "chosen/pynq_board").write_bytes(b"Pynq-Z2\0")
    assert board_type(tmp_path) == "Pynq-Z2"


@pytest.mark.parametrize("found", ["Pynq-Z2", "TUL PYNQ-Z2", "pynq_z2"])
def test_boards_are_known_by_any_spelling(found):
    manifest = read_manifest({**MANIFEST, "boards": ["pynq-z1", "pynq-z2"]})
    check_board(manifest, found)
    for other in ("ZynqMP ZCU104 RevC", ""):
        with pytest.raises(OverlayError, match="is for pynq-z1, pynq-z2"):
            check_board(manifest, other)
    check_board(read_manifest(MANIFEST), "anything")


def test_a_file_is_the_one_that_is_pinned(tmp_path):
    file = tmp_path / "x.bit"
    file.write_bytes(b"bits")
    good = hashlib.sha256(b"bits").hexdigest()
    check_hash(str(file), good, "bitstream")
    for pinned, why in (
        ("0" * 64, "pins 000000000000"),
        ("", "pins no SHA-256"),
        (good.upper(), "pins no SHA-256"),
    ):
        with pytest.raises(OverlayError, match=why):
            check_hash(str(file), pinned, "bitstream")
    with pytest.raises(OverlayError, match="cannot be read"):
        check_hash(str(tmp_path / "none"), good, "bitstream")
