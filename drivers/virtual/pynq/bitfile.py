"""Bitstream files without a design in them: what pynq parses is right, what it would configure is nothing.

Source of the header: the fields that pynq's ``parse_bit_header`` reads (design, part, date, time, payload).
"""

from __future__ import annotations

import struct

PAYLOAD_BYTES = 128


def placeholder(design: str, part: str = "7z020clg400") -> bytes:
    """A ``.bit`` whose payload configures nothing."""
    fields = ((b"a", f"{design};placeholder=true"), (b"b", part), (b"c", "1980/01/01"), (b"d", "00:00:00"))
    head = struct.pack(">H9sH", 9, bytes.fromhex("0ff00ff00ff00ff000"), 1)
    for key, text in fields:
        data = text.encode("ascii") + b"\0"
        head += key + struct.pack(">H", len(data)) + data
    return head + b"e" + struct.pack(">I", PAYLOAD_BYTES) + bytes(PAYLOAD_BYTES)
