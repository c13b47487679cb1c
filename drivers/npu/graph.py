"""Read ONNX files into plain nodes and arrays; parts of a network that follow one another become one graph.

The only module that needs the package onnx (extra ``npu``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

Attribute: TypeAlias = "int | float | str | list[int] | list[float] | npt.NDArray[np.generic]"


class UnsupportedError(ConfigError):
    """A network that this overlay cannot run.

    Attributes:
        operator: the ONNX operator, e.g. ``Conv``.
        shape: what it was given, as text.
        reason: why not.
    """

    def __init__(self, operator: str, name: str, shape: str, reason: str, *, cure: str = "") -> None:
        """Name operator, node, shape and reason."""
        self.operator = operator
        self.shape = shape
        self.reason = reason
        super().__init__(f"{operator} on {shape} cannot be compiled: {reason}", key=name, cure=cure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator; an input left out is the empty string."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(name, default)
        assert isinstance(value, int)
        return value

    def integers(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """A list of integers."""
        value = self.attributes.get(name, list(default))
        assert isinstance(value, list)
        return tuple(int(item) for item in value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A whole network in an order in which it can be computed.

    Attributes:
        input: name, element type (as numpy calls it) and shape without the batch axis of its one input.
        outputs: what no later part takes.
        constants: initialisers and constant nodes.
        sha256: of the file, or of the parts' hashes in hexadecimal, one after the other.
    """

    nodes: tuple[Node, ...]
    input: tuple[str, str, tuple[int, ...]]
    outputs: tuple[str, ...]
    constants: dict[str, npt.NDArray[np.generic]]
    sha256: str


def read(parts: Sequence[bytes]) -> Graph:
    """Join ``parts``, ONNX files in the order they run; an input of a later part is an earlier one's output.

    Raises:
        ConfigError: onnx is not installed, or a part is no ONNX file, or it takes what no earlier part gives.
    """
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(
            "compiling needs the package onnx", cure="pip install 'testbed[npu]' on the host"
        ) from error

    nodes: list[Node] = []
    constants: dict[str, npt.NDArray[np.generic]] = {}
    known: dict[str, str] = {}  # outputs of earlier parts, and what they are called here
    taken: set[str] = set()
    entry: tuple[str, str, tuple[int, ...]] | None = None
    for index, raw in enumerate(parts):
        try:
            graph = onnx.load_from_string(raw).graph
        except Exception as error:  # protobuf's own classes differ between its versions
            raise ConfigError(f"part {index} is not an ONNX file: {error}") from error
        names: dict[str, str] = {"": ""}
        weights = {item.name for item in graph.initializer}
        for item in graph.input:
            if item.name in weights:
                continue
            if index == 0 and entry is None:
                kind = item.type.tensor_type
                shape = tuple(int(d.dim_value) for d in kind.shape.dim)[1:]
                dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
                entry = (f"0/{item.name}", str(np.dtype(dtype)), shape)
            elif item.name in known:
                names[item.name] = known[item.name]
                taken.add(known[item.name])
            else:
                raise ConfigError(
                    f"part {index} takes {item.name!r}, which no earlier part gives",
                    cure="Name the parts in the order they run; a network has one input",
                )

        def renamed(name: str, index: int = index, names: dict[str, str] = names) -> str:
            return names.setdefault(name, f"{index}/{name}")

        for item in graph.initializer:
            constants[renamed(item.name)] = onnx.numpy_helper.to_array(item)
        for node in graph.node:
            attributes = {a.name: _attribute(a) for a in node.attribute}
            outputs = tuple(renamed(name) for name in node.output)
            value = attributes.get("value")
            if node.op_type == "Constant" and isinstance(value, np.ndarray):
                constants[outputs[0]] = value
                continue
            nodes.append(
                Node(
                    op=node.op_type,
                    name=node.name or node.output[0],
                    inputs=tuple(renamed(name) for name in node.input),
                    outputs=outputs,
                    attributes=attributes,
                )
            )
        known |= {item.name: renamed(item.name) for item in graph.output}
    if entry is None:
        raise ConfigError("a network needs a file with an input")
    hashes = [hashlib.sha256(raw).hexdigest() for raw in parts]
    return Graph(
        nodes=tuple(nodes),
        input=entry,
        outputs=tuple(name for name in known.values() if name not in taken),
        constants=constants,
        sha256=hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
    )


def _attribute(attribute: onnx.AttributeProto) -> Attribute:
    """An attribute's value; tensors as arrays, bytes as text."""
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return np.asarray(onnx.numpy_helper.to_array(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int | float):
        return value
    return list(value)
