"""Program files: whole and unchanged, or refused with what is wrong."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.npu import isa, program
from testbed.errors import ConfigError


def small_program(**changes: object) -> program.Program:
    setup = isa.encode_list([isa.Load(memory=isa.Memory.WGT, offset=256, address=0, length=128), isa.End()])
    run = isa.encode_list([isa.Exit(source=0, classes=2, number=0, table=0, last=1), isa.End()])
    image = setup + run + bytes(range(128))
    made = program.Program(
        model="toy",
        onnx_sha256="00" * 32,
        requires=program.Requirements(act_words=4, wgt_words=1, par_channels=16, tables=1),
        sections=program.Sections(setup=(0, 2), run=(128, 2), image_bytes=len(image)),
        input=program.Input(shape=(1, 2, 2), groups=1, map=tuple(range(-128, 128)), neutral=-128, bytes=32),
        output=program.Output(
            exits=(
                program.ExitPoint(
                    number=0, name="exit0", classes=2, scale=0.5, zero_point=0, table=0, cycles=10
                ),
            )
        ),
        layers=(program.Layer(tag=0, name="fc", op="Gemm", macs=1, cycles=3),),
        image=image,
    )
    return msgspec.structs.replace(made, **changes)


def test_what_was_written_is_read(tmp_path):
    made = small_program()
    program.write(made, tmp_path / "toy.npu")
    assert program.read(tmp_path / "toy.npu") == made
    assert [entry.name for entry in tmp_path.iterdir()] == ["toy.npu"]
    assert [type(c) for c in made.setup] == [isa.Load, isa.End]
    assert [type(c) for c in made.run] == [isa.Exit, isa.End]


def test_the_header_is_plain_json_in_order_and_the_image_is_aligned():
    made = small_program()
    raw = program.to_bytes(made)
    length = int.from_bytes(raw[8:12], "little")
    header = msgspec.json.decode(raw[12 : 12 + length])
    assert list(header) == sorted(header)
    assert header["sha256"] == hashlib.sha256(made.image).hexdigest()
    start = raw.index(made.image)
    assert start % program.ALIGNMENT == 0
    assert start + len(made.image) == len(raw)


@given(st.data())
def test_any_changed_bit_of_the_image_is_seen(data):
    raw = bytearray(program.to_bytes(small_program()))
    place = data.draw(st.integers(len(raw) - len(small_program().image), len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ConfigError, match="image was changed") as caught:
        program.from_bytes(bytes(raw), "toy.npu")
    assert caught.value.file == "toy.npu"
    assert "python -m drivers.npu.compile" in caught.value.cure


@given(st.data())
def test_a_file_cut_anywhere_is_refused(data):
    raw = program.to_bytes(small_program())
    with pytest.raises(ConfigError):
        program.from_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))])


def test_another_file_is_no_program(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\x08\x08 an ONNX file")
    with pytest.raises(ConfigError, match=r"model\.onnx: is not an edge NPU program"):
        program.read(file)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        program.read(tmp_path / "none.npu")


def test_a_header_that_cannot_be_read_is_refused():
    raw = program.to_bytes(small_program())
    with pytest.raises(ConfigError, match="header: the header cannot be read"):
        program.from_bytes(raw.replace(b'"model"', b'"modeX"'))
    with pytest.raises(ConfigError, match="header is not whole"):
        program.from_bytes(raw[:8] + b"\xff\xff\xff\xff" + raw[12:])


SECTIONS = {"setup": (0, 2), "run": (128, 2), "image_bytes": 384}
FAULTY = {
    "sections.run": {"sections": program.Sections(**{**SECTIONS, "run": (128, 9)})},
    "input.map": {"input": program.Input(shape=(1, 2, 2), groups=1, map=(1, 2), neutral=0, bytes=32)},
    "input.bytes": {
        "input": program.Input(shape=(9, 2, 2), groups=1, map=tuple([0] * 256), neutral=0, bytes=32)
    },
    "output.exits": {"output": program.Output(exits=())},
}


@pytest.mark.parametrize("key", FAULTY)
def test_what_the_types_let_through_is_refused(key):
    with pytest.raises(ConfigError) as caught:
        program.from_bytes(program.to_bytes(small_program(**FAULTY[key])))
    assert caught.value.key == key


def test_a_command_that_reads_beyond_the_image_is_refused():
    image = isa.Load(memory=isa.Memory.WGT, offset=64, address=0, length=128).encode() + bytes(64)
    sections = program.Sections(setup=(0, 0), run=(0, 1), image_bytes=len(image))
    with pytest.raises(ConfigError, match="loads 128 bytes from beyond the image"):
        program.from_bytes(program.to_bytes(small_program(image=image, sections=sections)))


def test_an_image_of_no_commands_is_refused():
    image = b"\xee" * 64
    sections = program.Sections(setup=(0, 0), run=(0, 1), image_bytes=len(image))
    with pytest.raises(ConfigError, match="opcode 0xee is not known"):
        program.from_bytes(program.to_bytes(small_program(image=image, sections=sections)))


def test_a_program_says_what_an_overlay_lacks():
    assert small_program().lacks(isa.Overlay()) == ""
    lacking = small_program().lacks(isa.Overlay(act_words=2, tables=0))
    assert lacking == "4 activation words (2 there), 1 confidence tables (0 there)"


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        program.write(small_program(), tmp_path / "none" / "toy.npu")
