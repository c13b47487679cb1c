"""The far side of the yardstick: takes a frame, checks it, sends it back. Standard library only, runs on the board.

A frame is u32 length and u32 CRC-32 of the payload, little-endian, then the payload.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib

HEAD = struct.Struct("<II")


def main() -> int:
    """Echo until the input ends; 1 on a damaged frame."""
    source = open(0, "rb", buffering=1 << 18)  # noqa: SIM115 - a descriptor, for as long as we live
    while True:
        head = source.read(HEAD.size)
        if len(head) < HEAD.size:
            return 0
        size, crc = HEAD.unpack(head)
        payload = source.read(size)
        if zlib.crc32(payload) != crc:
            return 1
        view = memoryview(HEAD.pack(size, zlib.crc32(payload)) + payload)
        while view:
            view = view[os.write(1, view) :]


if __name__ == "__main__":
    sys.exit(main())
