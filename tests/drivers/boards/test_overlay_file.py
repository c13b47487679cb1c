"""Overlay manifests: read strictly, chosen by board type, files checked against what is pinned."""

from __future__ import annotations

import hashlib

import pytest

from drivers.agent.runtimes.overlay.manifest import read_manifest
from drivers.boards.overlay_file import choose, read_overlay
from testbed.errors import ConfigError

TEXT = """
schema = 1
name = "edge-npu"
kind = "edge-npu"
ip = "npu_0"
clock_mhz = 125.0

[[build]]
boards = ["pynq-z1", "pynq-z2"]
bitstream = "z.bit"
bitstream_sha256 = "{bit}"
hwh = "z.hwh"
hwh_sha256 = "{hwh}"

[[build]]
boards = ["zcu104"]
bitstream = "u.bit"
hwh = "u.hwh"
"""
STREAM = """
[input]
kind = "integer"
dtype = "int16"
shape = [784]
scale = 0.015625
[output]
kind = "float"
dtype = "float32"
shape = [10]
"""


@pytest.fixture
def write(tmp_path):
    def write(text=TEXT):
        for name, data in (("z.bit", b"bits"), ("z.hwh", b"<x/>")):
            (tmp_path / name).write_bytes(data)
        pins = {"bit": hashlib.sha256(b"bits").hexdigest(), "hwh": hashlib.sha256(b"<x/>").hexdigest()}
        file = tmp_path / "overlay.toml"
        file.write_text(text.format(**pins))
        return file

    return write


def test_a_board_gets_its_own_build_in_the_agents_words(write):
    file = write()
    chosen = choose(read_overlay(file), "pynq-z2", file)
    chosen.check()
    manifest = read_manifest(chosen.manifest)
    assert (manifest.name, manifest.ip, manifest.boards) == ("edge-npu", "npu_0", ("pynq-z1", "pynq-z2"))
    assert manifest.bitstream_sha256 == hashlib.sha256(b"bits").hexdigest()
    assert (chosen.clock_hz, [f.name for f in chosen.files]) == (125e6, ["z.bit", "z.hwh"])


def test_quantisation_reaches_the_agent(write):
    file = write(TEXT.replace('kind = "edge-npu"', 'kind = "stream"') + STREAM)
    manifest = read_manifest(choose(read_overlay(file), "zcu104", file).manifest)
    assert (manifest.input.dtype, manifest.input.scale, manifest.output.shape) == ("int16", 0.015625, (10,))


def test_golden_answers_travel_and_are_pinned(write, tmp_path):
    (tmp_path / "golden.npz").write_bytes(b"answers")
    pin = hashlib.sha256(b"answers").hexdigest()
    table = f'[golden]\nfile = "golden.npz"\nsha256 = "{pin}"\ntolerance = 0.5\n'
    file = write(TEXT.replace('kind = "edge-npu"', 'kind = "stream"') + STREAM + table)
    chosen = choose(read_overlay(file), "pynq-z2", file)
    chosen.check()
    assert [f.name for f in chosen.files] == ["z.bit", "z.hwh", "golden.npz"]
    assert read_manifest(chosen.manifest).golden == (pin, 0.5)
    (tmp_path / "golden.npz").write_bytes(b"others")
    with pytest.raises(ConfigError, match="pins") as caught:
        chosen.check()
    assert caught.value.key == "golden.sha256"
    with pytest.raises(ConfigError, match="only an overlay that holds one network"):
        read_overlay(write(TEXT + table))


def test_a_file_that_was_not_built_or_was_changed_is_named(write, tmp_path):
    file = write()
    with pytest.raises(ConfigError, match=r"no u\.bit has been built"):
        choose(read_overlay(file), "zcu104", file).check()
    chosen = choose(read_overlay(file), "pynq-z1", file)
    (tmp_path / "z.hwh").write_bytes(b"<y/>")
    with pytest.raises(ConfigError, match="pins") as caught:
        chosen.check()
    assert caught.value.key == "hwh_sha256"
    (tmp_path / "z.bit").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        chosen.check()


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("schema = 1", "schema = 2", "schema"),
        ('ip = "npu_0"', 'pi = "npu_0"', "pi"),
        ('kind = "edge-npu"', 'kind = "dpu"', "kind"),
        ('kind = "edge-npu"', 'kind = "stream"', "input"),
        ('bitstream = "z.bit"', "", "build[0].bitstream"),
    ],
)
def test_what_is_wrong_is_named(write, old, new, key):
    with pytest.raises(ConfigError) as caught:
        read_overlay(write(TEXT.replace(old, new)))
    assert caught.value.key == key


def test_a_missing_file_an_unknown_board_and_a_path_that_leaves_are_refused(write, tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_overlay(tmp_path / "none.toml")
    file = write()
    with pytest.raises(ConfigError, match="no build for 'pynq-z3'") as caught:
        choose(read_overlay(file), "pynq-z3", file)
    assert "pynq-z" in caught.value.cure
    file = write(TEXT.replace('"u.bit"', '"../u.bit"'))
    with pytest.raises(ConfigError, match="leaves the folder"):
        choose(read_overlay(file), "zcu104", file)
