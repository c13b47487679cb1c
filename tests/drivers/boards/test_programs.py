"""A model is found again as the program that was compiled from exactly its file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.boards.programs import SHIPPED, identity, program_of
from testbed.errors import ConfigError
from testbed.model.lab import ModelFiles
from testbed.zoo.catalog import load_catalog, shipped
from testbed.zoo.files import load_graphs
from tests.drivers.agent.runtimes.overlay.conftest import toy


def files(*sha256):
    return ModelFiles(name="net", task="t", paths=tuple(Path(s) for s in sha256), sha256=sha256)


def find(model, *folders):
    return program_of(model, folders, file=Path("lab.toml"), key="boards.z.models")


def test_it_is_found_by_hash_not_by_name(tmp_path):
    (tmp_path / "a.npu").write_bytes(toy())
    (tmp_path / "b.npu").write_bytes(toy(onnx_sha256="1" * 64))
    found = find(files("1" * 64), tmp_path)
    assert (found.path.name, found.exits) == ("b.npu", 2)
    assert found.image_sha256 == read_program(found.path.read_bytes()).sha256
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()


def test_several_parts_are_known_by_their_joined_hashes(tmp_path):
    joined = hashlib.sha256(("2" * 64 + "3" * 64).encode()).hexdigest()
    assert identity(("2" * 64, "3" * 64)) == joined
    (tmp_path / "a.npu").write_bytes(toy(onnx_sha256=joined))
    assert find(files("2" * 64, "3" * 64), tmp_path).path.name == "a.npu"


def test_none_is_an_error_of_the_lab_file_and_a_damaged_one_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match="no program was compiled from net") as caught:
        find(files("9" * 64), tmp_path)
    assert caught.value.key == "boards.z.models"
    (tmp_path / "a.npu").write_bytes(toy()[:-1] + b"x")
    with pytest.raises(ConfigError, match="hashes") as caught:
        find(files("9" * 64), tmp_path)
    assert caught.value.file == str(tmp_path / "a.npu")


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.npu")), ids=lambda file: file.stem)
def test_what_is_shipped_is_what_the_compiler_makes_of_the_zoo(file):
    pytest.importorskip("onnx")
    from drivers.npu.compile import compile_network

    catalog = load_catalog(shipped("image-classification/fashion-mnist"))
    shipped_program = read_program(file.read_bytes())
    made = compile_network(load_graphs(catalog, file.stem), file.stem)
    cure = "compile and prepare it again: docs/pynq-boards.md, the last section"
    assert made.image == shipped_program.image, cure
    assert made.onnx_sha256 == shipped_program.onnx_sha256 == catalog.model(file.stem).sha256, cure
