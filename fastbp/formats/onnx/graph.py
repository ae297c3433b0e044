"""The graph of an ONNX file, as far as a chain of layers needs it: nodes, constants, outputs.

Nothing in it is believed: a file may be cut, changed or made to harm. What is wrong is a named
error, in no more memory than the file takes.
"""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, defs, helper, numpy_helper

from ... import _check
from ...errors import ConversionError, CorruptModelError
from ..atomicfile import FilePath

__all__ = ["Graph", "parsed"]

LEAST_OPSET = 7  # before it operators did not broadcast
ML = "ai.onnx.ml"
DTYPES: dict[int, Any] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.DOUBLE: np.dtype("<f8"),
    TensorProto.INT32: np.dtype("<i4"),
    TensorProto.INT64: np.dtype("<i8"),
    TensorProto.BOOL: np.dtype("?"),
}


def parsed(path: FilePath) -> ModelProto:
    """Return what a file holds.

    Raises
    ------
    CorruptModelError
        It is no ONNX file, or is cut.
    OSError
        It does not exist, cannot be read or is no regular file.
    """
    name = _check.path(path)
    with open(name, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        content = file.read()
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise CorruptModelError(f"{name} is not a readable ONNX file: {error}") from error
    if not model.graph.output or not model.graph.input or not model.opset_import:
        raise CorruptModelError(f"{name} is not a readable ONNX file: it has no graph")
    return model


class Graph:
    """Nodes by what they give, and constants by name.

    Raises
    ------
    ConversionError
        The file is of a version that is not read.
    CorruptModelError
        Two nodes give one name.
    """

    def __init__(self, model: ModelProto, path: str) -> None:
        self.model, self.path, self.proto = model, path, model.graph
        self._require_text()
        self._folder = os.path.dirname(path)
        self._tensors = {tensor.name: tensor for tensor in self.proto.initializer}
        self._known: dict[str, NDArray[Any] | None] = {}
        self._nodes: dict[str, NodeProto] = {}
        for node in self.proto.node:
            for name in filter(None, node.output):
                if name in self._nodes or name in self._tensors:
                    raise CorruptModelError(f"{path} is no ONNX graph: two nodes give {name!r}")
                self._nodes[name] = node
        self.inputs = [i for i in self.proto.input if i.name not in self._tensors]
        self._require_versions()

    def _require_text(self) -> None:
        """Refuse names that are no text: protocol buffers give these as bytes."""
        names = [
            *(name for node in self.proto.node for name in _names(node)),
            *(tensor.name for tensor in self.proto.initializer),
            *(value.name for value in (*self.proto.input, *self.proto.output)),
            *(text for entry in self.model.metadata_props for text in (entry.key, entry.value)),
            *(opset.domain for opset in self.model.opset_import),
            *(function.name for function in self.model.functions),
        ]
        if not all(isinstance(name, str) for name in names):
            raise CorruptModelError(f"{self.path} is no ONNX graph: it has names that are no text")

    def _require_versions(self) -> None:
        newest = {"": defs.onnx_opset_version(), ML: defs.onnx_ml_opset_version()}
        self._versions: dict[str, int] = {}
        for opset in self.model.opset_import:
            domain = "" if opset.domain == "ai.onnx" else opset.domain
            least = LEAST_OPSET if not domain else 1
            most = newest.get(domain)
            if most is not None and not least <= opset.version <= most:
                raise ConversionError(
                    f"{self.path}: got opset {opset.version} of {domain or 'ai.onnx'}, wanted "
                    f"{least} to {most}: export it with another opset_version, or install a newer "
                    "onnx"
                )
            self._versions[domain] = opset.version

    def node(self, name: str) -> NodeProto | None:
        """Return the node that gives a value; None for inputs and constants."""
        return self._nodes.get(name)

    def require_form(self, node: NodeProto) -> None:
        """Refuse a node whose inputs or attributes are not those of its operator."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = self._versions.get(domain)
        if version is None or not defs.has(node.op_type, version, domain):
            raise self.error(node, f"is no operator of the file's opset, {version}")
        schema = defs.get_schema(node.op_type, version, domain)
        if not schema.min_input <= len(node.input) <= schema.max_input:
            raise self.error(
                node,
                f"got {len(node.input)} inputs, wanted {schema.min_input} to {schema.max_input}",
            )
        unknown = {attribute.name for attribute in node.attribute} - set(schema.attributes)
        if unknown:
            raise self.error(node, f"got the attribute {min(unknown)[:100]!r}, which it has not")

    def error(self, node: NodeProto, text: str) -> ConversionError:
        """Return an error that names a node."""
        return ConversionError(f"{self.path}: {self.called(node)}: {text}")

    def called(self, node: NodeProto) -> str:
        """Return the name and the operator of a node, for errors."""
        domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
        name = node.name or next(iter(node.output), "")
        return f"node {name[:100]!r} ({domain[:100]}{node.op_type[:100]})"

    def _attribute(self, node: NodeProto, name: str, default: Any = None) -> Any:
        """Return an attribute of a node; strings as str."""
        for attribute in node.attribute:
            if attribute.name == name:
                if attribute.ref_attr_name:
                    raise self.error(
                        node, f"got the attribute {name} of a function, wanted its value"
                    )
                if attribute.type == attribute.TENSOR:
                    return self._array(attribute.t)
                try:
                    value = helper.get_attribute_value(attribute)
                    return value.decode() if isinstance(value, bytes) else value
                except ValueError as error:
                    raise self.error(node, f"the attribute {name}: {error}") from error
        return default

    def number(self, node: NodeProto, name: str, default: float | int) -> Any:
        """Return an attribute that is a number."""
        value = self._attribute(node, name, default)
        if isinstance(value, int | float) and isinstance(value, type(default)):
            return value
        raise self.error(node, f"{name}: got {type(value).__name__}, wanted a number")

    def word(self, node: NodeProto, name: str, default: str) -> str:
        """Return an attribute that is a string."""
        value = self._attribute(node, name, default)
        if isinstance(value, str):
            return value
        raise self.error(node, f"{name}: got {type(value).__name__}, wanted a string")

    def listed(self, node: NodeProto, name: str, kind: type) -> list[Any]:
        """Return an attribute that is a list of str, int or float; empty where it is not given."""
        value = self._attribute(node, name, [])
        found = value if isinstance(value, Sequence) and not isinstance(value, str) else [None]
        try:
            found = [v.decode() if isinstance(v, bytes) else v for v in found]
        except UnicodeDecodeError as error:
            raise self.error(node, f"{name}: {error}") from error
        if all(isinstance(v, kind) for v in found):
            return found
        raise self.error(
            node, f"{name}: got {type(value).__name__}, wanted a list of {kind.__name__}"
        )

    def constant(self, name: str) -> NDArray[Any] | None:
        """Return the value of a constant: an initializer, or what is made of one; else None."""
        if name not in self._known:
            self._known[name] = self._evaluated(name)
        return self._known[name]

    def _evaluated(self, name: str) -> NDArray[Any] | None:
        path: list[NodeProto] = []
        while name not in self._tensors:
            node = self._nodes.get(name)
            if node is None or len(path) > len(self._nodes):
                return None
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                value = self._constant_node(node)
                break
            if node.op_type not in _OF_CONSTANTS or not node.input:
                return None
            path.append(node)
            name = node.input[0]
        else:
            value = self._array(self._tensors[name])
        for node in reversed(path):
            found = self._applied(node, value)
            if found is None:
                return None
            value = found
        return value

    def _constant_node(self, node: NodeProto) -> NDArray[Any]:
        for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
            value = self._attribute(node, name)
            if value is not None:
                dtype = np.float32 if "float" in name else None
                return np.asarray(value, dtype)
        raise self.error(node, "got no number, wanted a tensor of numbers")

    def _applied(self, node: NodeProto, value: NDArray[Any]) -> NDArray[Any] | None:
        if node.op_type == "Transpose":
            axes = self.listed(node, "perm", int)
            if axes and sorted(axes) != list(range(value.ndim)):
                raise self.error(node, f"got the axes {axes} of {value.ndim}")
            return value.transpose(axes or None)
        if node.op_type == "Cast":
            dtype = DTYPES.get(self.number(node, "to", 0))
            return None if dtype is None or value.dtype == object else value.astype(dtype)
        return value

    def _array(self, tensor: TensorProto) -> NDArray[Any]:
        shown = f"{self.path}: tensor {tensor.name[:100]!r}"
        if tensor.data_type == TensorProto.STRING:
            try:
                return np.array([text.decode() for text in tensor.string_data], object)
            except UnicodeDecodeError as error:
                raise CorruptModelError(f"{shown}: {error}") from error
        dtype, shape = DTYPES.get(tensor.data_type), tuple(tensor.dims)
        if dtype is None:
            named = TensorProto.DataType.keys()
            code = tensor.data_type
            kind = named[code] if 0 <= code < len(named) else f"type {code}"
            raise ConversionError(f"{shown}: got {kind}, wanted FLOAT or DOUBLE")
        if min(shape, default=1) < 0:
            raise CorruptModelError(f"{shown}: got shape {shape}")
        n_bytes = math.prod(shape) * dtype.itemsize
        if tensor.data_location == TensorProto.EXTERNAL:
            data = self._external(tensor, n_bytes, shown)
        elif tensor.HasField("raw_data"):
            data = tensor.raw_data
        else:
            data = b""
            try:
                typed = numpy_helper.to_array(tensor)
            except (ValueError, TypeError, OverflowError) as error:
                raise CorruptModelError(f"{shown}: {error}") from error
            if typed.shape == shape:
                return np.asarray(typed)
        if len(data) != n_bytes:
            raise CorruptModelError(
                f"{shown}: got {len(data)} bytes for {dtype.name} of shape {shape}, wanted "
                f"{n_bytes}"
            )
        return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))

    def _external(self, tensor: TensorProto, n_bytes: int, shown: str) -> bytes:
        """Return bytes of a file beside this one, as PyTorch's exporter writes large weights."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if (
            location in ("", ".", "..")
            or os.path.basename(location) != location
            or "\0" in location
        ):
            raise ConversionError(
                f"{shown}: got its numbers in {location[:100]!r}, wanted a file in the same folder"
            )
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", str(n_bytes)))
            with open(os.path.join(self._folder, location), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ValueError("it is not a regular file")
                if length != n_bytes or not 0 <= offset <= status.st_size - n_bytes:
                    raise ValueError(
                        f"it has {status.st_size} bytes, wanted {n_bytes} from {offset} on"
                    )
                file.seek(offset)
                return file.read(n_bytes)
        except (ValueError, OSError) as error:
            raise CorruptModelError(
                f"{shown}: its numbers are in {location[:100]!r}, beside the file: {error}"
            ) from error

    def metadata(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Iterate over the notes whose key begins so."""
        for entry in self.model.metadata_props:
            if entry.key.startswith(prefix):
                yield entry.key.removeprefix(prefix), entry.value


def _names(node: NodeProto) -> Iterator[Any]:
    yield from (node.name, node.op_type, node.domain)
    yield from node.input
    yield from node.output
    yield from (attribute.name for attribute in node.attribute)


_OF_CONSTANTS = {"Identity", "Transpose", "Cast"}
