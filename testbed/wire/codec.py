"""Field kinds: how one value of a message becomes bytes and comes back.

All numbers are little-endian. A *layout* is a line of kinds, one for each field of a message type:

=============  ==================================================================================
``u8`` … ``f64``  fixed size; neighbours are packed by one ``struct``; ``bool`` is one byte, 0 or 1
``str``        u32 length, UTF-8
``bytes``      u32 length, the bytes; decoded as a ``memoryview``, not copied
``json``       u32 length, canonical JSON of a mapping (sorted keys, no NaN): for free-form facts only
``tensor``     u8 dtype, u8 rank, as many u32 of shape, the elements in C order
``KIND[]``     u32 count, then the elements; decoded as a tuple
``f64[][]``    u32 count, then as many ``f64[]``
=============  ==================================================================================
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from testbed.errors import LocalWireError, RemoteWireError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview
    Write: TypeAlias = Callable[[list[Buffer], Any], None]
    Read: TypeAlias = Callable[[memoryview, int], tuple[Any, int]]

_SCALARS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q", "f64": "d", "bool": "?"}
_U32 = struct.Struct("<I")
_DTYPES = (
    ("bool", 1),
    ("uint8", 1),
    ("int8", 1),
    ("uint16", 2),
    ("int16", 2),
    ("uint32", 4),
    ("int32", 4),
    ("uint64", 8),
    ("int64", 8),
    ("float16", 2),
    ("float32", 4),
    ("float64", 8),
)
_DTYPE_CODE = {name: code for code, (name, _) in enumerate(_DTYPES)}
_MAX_RANK = 8
_SHAPE_HEAD = struct.Struct("<BB")
_SHAPES = [struct.Struct(f"<{rank}I") for rank in range(_MAX_RANK + 1)]
_TENSOR_HEADS = [struct.Struct(f"<BB{rank}I") for rank in range(_MAX_RANK + 1)]


class Tensor(NamedTuple):
    """An array as it travels: numpy's name of the element type, the shape, and the elements in C order.

    The user turns it into an array by ``numpy.frombuffer(t.data, t.dtype).reshape(t.shape)``, without a copy.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview

    @property
    def size_bytes(self) -> int:
        """Length that ``data`` must have [bytes]."""
        return math.prod(self.shape) * _DTYPES[_DTYPE_CODE[self.dtype]][1]


def _write_bytes(out: list[Buffer], value: Buffer) -> None:
    if isinstance(value, memoryview) and (value.itemsize != 1 or not value.contiguous or value.ndim != 1):
        value = value.tobytes()
    out.append(_U32.pack(len(value)))
    out.append(value)


def _read_bytes(data: memoryview, at: int) -> tuple[memoryview, int]:
    (size,) = _U32.unpack_from(data, at)
    at += 4
    if size > len(data) - at:
        raise RemoteWireError(f"a field announces {size} bytes where {len(data) - at} are left")
    return data[at : at + size], at + size


def _write_str(out: list[Buffer], value: str) -> None:
    raw = value.encode()
    out.append(_U32.pack(len(raw)) + raw)


def _read_str(data: memoryview, at: int) -> tuple[str, int]:
    raw, at = _read_bytes(data, at)
    return str(raw, "utf-8"), at


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
_JSON = json.JSONDecoder()


def _write_json(out: list[Buffer], value: dict[str, object]) -> None:
    _write_bytes(out, _CANONICAL.encode(dict(value)).encode())


def _read_json(data: memoryview, at: int) -> tuple[dict[str, object], int]:
    raw, at = _read_bytes(data, at)
    text = str(raw, "utf-8")
    value, end = _JSON.raw_decode(text)  # no white space around it: it is canonical
    if end != len(text) or not isinstance(value, dict):
        raise RemoteWireError("free-form facts must be a JSON object")
    return value, at


def _write_tensor(out: list[Buffer], value: Tensor) -> None:
    name, shape, data = value
    if isinstance(data, memoryview) and (data.itemsize != 1 or not data.contiguous or data.ndim != 1):
        data = data.tobytes()
    code, rank = _DTYPE_CODE[name], len(shape)
    if rank > _MAX_RANK or len(data) != math.prod(shape) * _DTYPES[code][1]:
        needed = value.size_bytes
        raise LocalWireError(f"tensor {name}{list(shape)} needs {needed} bytes, not {len(data)}")
    out.append(_TENSOR_HEADS[rank].pack(code, rank, *shape))
    out.append(data)


def _read_tensor(data: memoryview, at: int) -> tuple[Tensor, int]:
    code, rank = _SHAPE_HEAD.unpack_from(data, at)
    if code >= len(_DTYPES) or rank > _MAX_RANK:
        raise RemoteWireError(f"tensor of unknown element type {code} or rank {rank}")
    shape = _SHAPES[rank].unpack_from(data, at + 2)
    at += 2 + 4 * rank
    name, width = _DTYPES[code]
    size = math.prod(shape) * width
    if size > len(data) - at:
        raise RemoteWireError(f"tensor announces {size} bytes where {len(data) - at} are left")
    return Tensor(name, shape, data[at : at + size]), at + size


def _packed_list(letter: str) -> tuple[Write, Read]:
    width = struct.calcsize("<" + letter)

    few = [struct.Struct(f"<I{count}{letter}") for count in range(9)]

    def write_packed(out: list[Buffer], values: Sequence[Any]) -> None:
        count = len(values)
        out.append(
            few[count].pack(count, *values)
            if count < 9
            else struct.pack(f"<I{count}{letter}", count, *values)
        )

    def read_packed(data: memoryview, at: int) -> tuple[Any, int]:
        (count,) = _U32.unpack_from(data, at)
        if count < 9:
            packed = few[count]
            return packed.unpack_from(data, at)[1:], at + packed.size
        if count * width > len(data) - at - 4:
            raise RemoteWireError(f"a list announces {count} elements, more than the message holds")
        return struct.unpack_from(f"<{count}{letter}", data, at + 4), at + 4 + count * width

    return write_packed, read_packed


def _list_of(kind: str) -> tuple[Write, Read]:
    """Lists: of scalars packed in one go, of anything else one by one."""
    if kind in _SCALARS:
        return _packed_list(_SCALARS[kind])
    write_one, read_one = _kind(kind)

    def write_each(out: list[Buffer], values: Sequence[Any]) -> None:
        out.append(_U32.pack(len(values)))
        for value in values:
            write_one(out, value)

    def read_each(data: memoryview, at: int) -> tuple[Any, int]:
        (count,) = _U32.unpack_from(data, at)
        at += 4
        if count > len(data) - at:
            raise RemoteWireError(f"a list announces {count} elements, more than the message holds")
        values = []
        for _ in range(count):
            value, at = read_one(data, at)
            values.append(value)
        return tuple(values), at

    return write_each, read_each


def _kind(kind: str) -> tuple[Write, Read]:
    if kind.endswith("[]"):
        return _list_of(kind[:-2])
    plain: dict[str, tuple[Write, Read]] = {
        "str": (_write_str, _read_str),
        "bytes": (_write_bytes, _read_bytes),
        "json": (_write_json, _read_json),
        "tensor": (_write_tensor, _read_tensor),
    }
    return plain[kind]


class Layout:
    """The compiled form of one line of kinds."""

    def __init__(self, kinds: str) -> None:
        """Join neighbouring scalars; ``kinds`` is e.g. ``"u64 str tensor"``."""
        self.kinds = tuple(kinds.split())
        self._steps: list[tuple[struct.Struct | None, int, Write | None, Read | None]] = []
        run = ""
        for kind in (*self.kinds, ""):
            if kind in _SCALARS:
                run += _SCALARS[kind]
                continue
            if run:
                self._steps.append((struct.Struct("<" + run), len(run), None, None))
                run = ""
            if kind:
                write, read = _kind(kind)
                self._steps.append((None, 1, write, read))

    def write(self, out: list[Buffer], values: tuple[Any, ...]) -> None:
        """Append the bytes of ``values`` to ``out``; large ones are referred to, not copied.

        Raises:
            LocalWireError: a value does not fit its kind.
        """
        at = 0
        try:
            for packed, width, write, _ in self._steps:
                if packed is not None:
                    out.append(packed.pack(*values[at : at + width]))
                elif write is not None:
                    write(out, values[at])
                at += width
        except (struct.error, TypeError, ValueError, KeyError, AttributeError) as error:
            raise LocalWireError(
                f"value does not fit its field ({', '.join(self.kinds)}): {error}"
            ) from error

    def read(self, data: memoryview, at: int) -> tuple[list[Any], int]:
        """The values at ``at`` and the position behind them.

        Raises:
            RemoteWireError: the bytes are too short or say something impossible.
        """
        values: list[Any] = []
        try:
            for packed, _, _, read in self._steps:
                if packed is not None:
                    values.extend(packed.unpack_from(data, at))
                    at += packed.size
                elif read is not None:
                    value, at = read(data, at)
                    values.append(value)
        except (struct.error, ValueError, RecursionError) as error:
            raise RemoteWireError(f"message cannot be read: {error}") from error
        return values, at
