"""Commands survive encoding whatever their values; what does not fit is refused by name."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.npu import isa


def values_of(field: isa.Bits) -> st.SearchStrategy[int]:
    if field.signed:
        return st.integers(-(1 << (field.bits - 1)), (1 << (field.bits - 1)) - 1)
    return st.integers(0, (1 << field.bits) - 1)


@st.composite
def commands(draw: st.DrawFn) -> isa.Command:
    kind = draw(st.sampled_from(isa.KINDS))
    values = {name: draw(values_of(field)) for name, field in isa.LAYOUTS[kind].items()}
    flags = {"wait_dma": draw(st.booleans()), "wait_compute": draw(st.booleans())}
    return kind(**values, **flags)


@given(st.lists(commands(), max_size=5))
def test_what_was_encoded_is_decoded(given_commands):
    raw = isa.encode_list(given_commands)
    assert len(raw) == isa.COMMAND_BYTES * len(given_commands)
    assert isa.decode_list(raw) == tuple(given_commands)


@pytest.mark.parametrize("kind", isa.KINDS, ids=lambda kind: kind.__name__)
def test_fields_do_not_overlap_and_stay_in_the_command(kind):
    taken = {(0, bit) for bit in range(16)}  # opcode and flags
    for field in isa.LAYOUTS[kind].values():
        bits = {(field.word, field.low + bit) for bit in range(field.bits)}
        assert 0 <= field.word <= 15
        assert field.low + field.bits <= 32
        assert not bits & taken
        taken |= bits
    assert set(isa.LAYOUTS[kind]) == {field.name for field in fields(kind)} - {"wait_dma", "wait_compute"}


def test_bytes_are_those_of_the_document():
    command = isa.Conv(
        source=1,
        target=2,
        weights=3,
        channel=4,
        in_height=28,
        in_width=27,
        out_height=14,
        out_width=13,
        in_groups=2,
        out_groups=1,
        kernel=3,
        stride=2,
        pad_top=1,
        pad_left=0,
        pad_value=-128,
        zero_point=-1,
        low=-5,
        high=127,
        wait_dma=True,
        tag=7,
    )
    words = [int.from_bytes(command.encode()[i : i + 4], "little") for i in range(0, 64, 4)]
    assert words == [
        0x10 | 1 << 8 | 7 << 16,
        1,
        2,
        3,
        4,
        28 | 27 << 16,
        14 | 13 << 16,
        2 | 1 << 16,
        3 | 2 << 8 | 1 << 16,
        0x80 | 0xFF << 8 | 0xFB << 16 | 0x7F << 24,
        *[0] * 6,
    ]


def test_a_value_that_does_not_fit_is_named():
    with pytest.raises(isa.CommandError, match=r"Load: address -1 is outside 0\.\.4294967295 \(32 bits\)"):
        isa.Load(memory=0, offset=0, address=-1, length=8).encode()
    with pytest.raises(isa.CommandError, match="multiplier 2147483648 is outside"):
        isa.AvgPool(source=0, target=0, height=1, width=1, groups=1, multiplier=1 << 31, shift=1).encode()


def test_an_unknown_opcode_is_told_with_its_place():
    raw = isa.End().encode() + bytes([0x7F]) + bytes(63)
    with pytest.raises(isa.CommandError, match="command 1: opcode 0x7f is not known"):
        isa.decode_list(raw)


def test_a_list_cut_short_is_refused():
    with pytest.raises(isa.CommandError, match="command 1: a command has 64 bytes, not 63"):
        isa.decode_list(isa.End().encode() + bytes(63))
