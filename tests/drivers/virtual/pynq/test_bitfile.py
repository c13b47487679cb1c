"""The header of a placeholder, field by field as pynq reads it."""

from __future__ import annotations

from drivers.virtual.pynq.bitfile import PAYLOAD_BYTES, placeholder


def test_every_field_is_found_where_a_reader_looks():
    data = placeholder("edge_npu", "7z020clg400")
    at, fields = 2 + int.from_bytes(data[:2], "big") + 2, {}
    while (key := data[at : at + 1]) != b"e":
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        fields[key] = data[at + 3 : at + 3 + size]
        at += 3 + size
    assert fields[b"a"].startswith(b"edge_npu;")
    assert fields[b"b"] == b"7z020clg400\0"
    assert set(fields) == {b"a", b"b", b"c", b"d"}
    size = int.from_bytes(data[at + 1 : at + 5], "big")
    assert size == PAYLOAD_BYTES == len(data) - at - 5
