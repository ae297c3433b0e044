"""Model files on disk: safetensors with the architecture and a checksum in the metadata.

Knows files, and layers as JSON describes them, not networks. The metadata holds ``format``
("fastbp"), ``format_version``, ``architecture`` (JSON), in a checkpoint ``training`` (JSON), in a
model of a table ``table`` (JSON), and ``sha256``, a SHA-256 over the others, the names, dtypes and
shapes of the tensors and their bytes, so any changed byte is found. Nothing is unpickled. The
library safetensors is imported when a file is read or written; `tensorfile` stands in for it where
that fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..activations import resolve
from ..errors import ConfigError, CorruptModelError, FormatVersionError
from ..gates import Gated, Maxout, Residual
from ..layers import Dense, Layer, Weighted
from . import atomicfile, tensorfile
from .atomicfile import FilePath

__all__ = [
    "FORMAT_VERSION",
    "Tensors",
    "description",
    "is_model",
    "layers_of",
    "read",
    "read_any",
    "read_checkpoint",
    "write",
]

FORMAT = "fastbp"
FORMAT_VERSION = 1
# Of names, shapes and metadata: bounds the time and the memory that a forged header can take.
MOST_HEADER_BYTES = 1 << 22

# The prefixes of the network's own tensors, in a checkpoint too.
OF_THE_NETWORK = ("layers.", "preprocessing.")

Tensors = dict[str, NDArray[Any]]


def write(
    path: FilePath,
    architecture: dict[str, Any],
    tensors: Tensors,
    training: dict[str, Any] | None = None,
    table: dict[str, Any] | None = None,
) -> None:
    """Write a model file so that `path` holds the old file or the new one, whole.

    Parameters
    ----------
    path : path-like
        The file; an existing one is replaced, a symbolic link is followed.
    architecture : dict
        What JSON can hold.
    tensors : dict of str to ndarray
        Float32 or float64 arrays of any layout.
    training : dict, optional
        Of a checkpoint; what JSON can hold.
    table : dict, optional
        Of a model of a table, whose networks and transformations this describes; likewise.

    Raises
    ------
    OSError
        The folder does not exist, is not writable or is full; the old file is untouched.
    """
    to_bytes, _, _ = _library()
    tensors = {name: _little_endian(tensor) for name, tensor in tensors.items()}
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "architecture": json.dumps(architecture, sort_keys=True),
    }
    for name, section in (("training", training), ("table", table)):
        if section is not None:
            metadata[name] = json.dumps(section, sort_keys=True)
    metadata["sha256"] = _digest(metadata, tensors)
    content = to_bytes(tensors, metadata)
    if int.from_bytes(content[:8], "little") > MOST_HEADER_BYTES:
        raise ConfigError(
            f"network: got layers and metadata that take more than {MOST_HEADER_BYTES >> 20} MiB "
            "to describe, wanted fewer"
        )
    atomicfile.write(path, content)


def read(path: FilePath) -> tuple[dict[str, Any], Tensors]:
    """Return the architecture and the tensors of a model file; of a checkpoint, the network's.

    Raises
    ------
    CorruptModelError
        The file is not a fastbp model, or was cut or changed; or it is the model of a table.
    FormatVersionError
        It is of another version of the format.
    OSError
        The file does not exist or cannot be read.
    """
    architecture, tensors, table = read_any(path)
    if table is not None:
        raise _of_a_table(path)
    return architecture, tensors


def read_any(path: FilePath) -> tuple[dict[str, Any], Tensors, dict[str, Any] | None]:
    """Return what `read` does, and what describes the model of a table if the file holds one.

    Raises
    ------
    CorruptModelError, FormatVersionError, OSError
        As `read`.
    """
    metadata, tensors = _read(path)
    if "training" in metadata:
        tensors = {
            name: array for name, array in tensors.items() if name.startswith(OF_THE_NETWORK)
        }
    table = _json(path, metadata, "table") if "table" in metadata else None
    return _json(path, metadata, "architecture"), tensors, table


def read_checkpoint(
    path: FilePath,
) -> tuple[dict[str, Any], Tensors, dict[str, Any], Tensors]:
    """Return architecture and tensors of the network of a checkpoint, then those of its training.

    Raises
    ------
    CorruptModelError, FormatVersionError, OSError
        As `read`; or the file holds a network alone.
    """
    metadata, tensors = _read(path)
    if "table" in metadata:
        raise _of_a_table(path)
    if "training" not in metadata:
        raise CorruptModelError(
            f"{_check.path(path)} holds a network, but not its training: fastbp.load reads it"
        )
    rest = {name: array for name, array in tensors.items() if not name.startswith(OF_THE_NETWORK)}
    own = {name: array for name, array in tensors.items() if name not in rest}
    return _json(path, metadata, "architecture"), own, _json(path, metadata, "training"), rest


def is_model(path: FilePath) -> bool:
    """Return whether the head of a file is that of fastbp, of any version; the rest is not read.

    Raises
    ------
    OSError
        The file does not exist or cannot be read.
    """
    name = _check.path(path)
    with open(name, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= MOST_HEADER_BYTES else b""
    try:
        metadata: Any = _parsed(header)["__metadata__"]
        return bool(metadata["format"] == FORMAT)
    except (LookupError, TypeError, ValueError, RecursionError):
        return False


def _of_a_table(path: FilePath) -> CorruptModelError:
    return CorruptModelError(
        f"{_check.path(path)} holds the model of a table, whose networks take the columns as it "
        "transforms them: fastbp.tables.TableModel.load reads it, and so does fastbp predict"
    )


def _read(path: FilePath) -> tuple[dict[str, str], Tensors]:
    """Return the metadata and the tensors of a file whose checksum is right."""
    _, from_bytes, refusal = _library()
    name = _check.path(path)
    # Read, not mapped: a file that another process cuts meanwhile would end the process.
    with open(name, "rb") as file:
        begin = file.read(8)
        length = int.from_bytes(begin, "little")
        if len(begin) < 8 or length > MOST_HEADER_BYTES:
            raise CorruptModelError(f"{name} is not a readable safetensors file: no header")
        header = file.read(length)
        metadata, n_data = _metadata(name, header)
        status, wanted = os.fstat(file.fileno()), 8 + length + n_data
        # Before memory is taken: a file with holes may say that it is longer than any memory.
        if stat.S_ISREG(status.st_mode) and status.st_size != wanted:
            raise CorruptModelError(
                f"{name} is not a whole safetensors file: {status.st_size} bytes, wanted {wanted}"
            )
        content = begin + header + file.read()
    try:
        tensors = {name: _as_stored(tensor) for name, tensor in from_bytes(content).items()}
    # The library raises other errors for damage in other places.
    except (refusal, ValueError, TypeError, KeyError, OverflowError) as error:
        raise CorruptModelError(f"{name} is not a readable safetensors file: {error}") from error
    checksum = metadata.pop("sha256", None)
    if checksum != _digest(metadata, tensors):
        raise CorruptModelError(f"{name} was changed after it was written: SHA-256 differs")
    # The checksum is the same in every version, so a damaged number is not taken for another one.
    _require_version(name, metadata)
    return metadata, {key: _native(tensor) for key, tensor in tensors.items()}


def _library() -> tuple[
    Callable[[Tensors, dict[str, str]], bytes], Callable[[bytes], Tensors], type[Exception]
]:
    """Return what turns tensors and metadata into bytes, what reads these, and its error."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load, save
    except ImportError:
        return tensorfile.save, tensorfile.load, ValueError
    return save, load, SafetensorError


def _metadata(path: str, header: bytes) -> tuple[dict[str, str], int]:
    """Return the metadata of a header whose tensors are all of float32 or float64, and their bytes.

    Other types are an error of the format's version, if that is another one.
    """
    try:
        entries = _parsed(header)
        metadata = entries.pop("__metadata__", {})
        dtypes = {entry["dtype"] for entry in entries.values()}
        n_data = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError,
            OverflowError) as error:  # fmt: skip
        raise CorruptModelError(f"{path} is not a readable safetensors file: {error}") from error
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CorruptModelError(f"{path} is not a readable safetensors file: bad metadata")
    if metadata.get("format") != FORMAT:
        raise CorruptModelError(f"{path} is a safetensors file, but not a fastbp model")
    if not dtypes <= {"F32", "F64"}:
        _require_version(path, metadata)
        other = ", ".join(sorted(map(str, dtypes - {"F32", "F64"})))
        raise CorruptModelError(f"{path} has tensors of {other}, wanted F32 and F64")
    return metadata, n_data


def _require_version(path: str, metadata: dict[str, str]) -> None:
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise FormatVersionError(
            f"{path} has format version {version}; this fastbp reads version {FORMAT_VERSION}"
        )


def _parsed(text: bytes | str) -> Any:
    """Return the value of JSON in which no key is there twice and every number is finite."""
    return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def description(layer: Layer, groups: bool = True) -> dict[str, Any]:
    """Return the options of a layer; those that it does not use are left out.

    Without `groups` also those that say how it is trained.
    """
    group = layer._own_group() if groups and isinstance(layer, Weighted) else {}
    match layer:
        case Residual():
            layers = [description(inner, groups) for inner in layer.layers]
            projection = (layer._group_of_projection() or None) if groups else None
            return {"kind": "residual", "layers": layers} | _present(projection=projection)
        case Maxout():
            described = {"kind": "maxout", "units": layer.units, "pieces": layer.pieces}
            return described | group
        case Gated():
            described = {"kind": "gated", "units": layer.units, "gate": layer.gate}
            return described | _present(gate_parameter=layer.gate_parameter) | group
        case Dense():
            described = {"units": layer.units, "activation": layer.activation}
            options = {"activation_parameter": layer.activation_parameter}
            options["dropout"] = layer.dropout or None
            return described | _present(**options) | group
    raise TypeError(f"got {layer!r}, wanted a layer of fastbp")


def layers_of(described: list[dict[str, Any]], most: int) -> list[Layer]:
    """Return the layers of some `description`, which hold `most` with weights at most.

    Raises
    ------
    LookupError, TypeError, ValueError
        They describe no layers, or more.
    """
    count, unseen = 0, list(described)
    while unseen:
        layer = unseen.pop()
        inner = layer.get("layers", ()) if isinstance(layer, dict) else ()
        unseen.extend(inner)
        count += not inner
    # Counted before any is made: a forged file may ask for as many as it likes.
    if count > most:
        raise ValueError(f"it has {count} layers and tensors for {most}")
    return [layer_of(**layer) for layer in described]


def layer_of(kind: str = "dense", **options: Any) -> Layer:
    """Return the layer of a `description`; a Dense has no kind.

    Raises
    ------
    LookupError, TypeError, ValueError
        The options describe no layer.
    """
    if kind == "residual":
        projection = options.pop("projection", {})
        made = Residual([layer_of(**inner) for inner in options.pop("layers")], **options)
        made._projection_group = Dense(made.units, **projection)._own_group()  # checked
        return made
    if kind == "maxout":
        return Maxout(**options)
    if kind == "gated":
        gate = resolve(options.pop("gate"), options.pop("gate_parameter", None))
        return Gated(gate=gate, **options)
    if kind != "dense":
        raise ValueError(f"kind: got {kind!r}, wanted dense, maxout, gated or residual")
    parameter = options.pop("activation_parameter", None)
    return Dense(activation=resolve(options.pop("activation"), parameter), **options)


def _present(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _json(path: object, metadata: dict[str, str], name: str) -> dict[str, Any]:
    try:
        # What a callback has found may be infinite, or no number yet.
        parse = json.loads if name == "training" else _parsed
        value: dict[str, Any] = parse(metadata[name])
    except (KeyError, ValueError, RecursionError) as error:
        raise CorruptModelError(f"{path} has no readable {name}: {error}") from error
    return value


def _little_endian(tensor: NDArray[Any]) -> NDArray[Any]:
    """Return a C-contiguous array in the order of bytes that files have on every machine."""
    return np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<"))


def _as_stored(tensor: NDArray[Any]) -> NDArray[Any]:
    """Return an array of the library as what its bytes are; it says the machine's own order."""
    return tensor.view(tensor.dtype.newbyteorder("<"))


def _native(tensor: NDArray[Any]) -> NDArray[Any]:
    return tensor.astype(tensor.dtype.newbyteorder("="), copy=False)


def _digest(metadata: dict[str, str], tensors: Tensors) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name}\0{tensor.dtype.name}\0{tensor.shape}\0".encode())
        digest.update(tensor.data)
    return digest.hexdigest()
