"""Model files on disk: safetensors with the architecture and a checksum in the metadata.

Knows files, and layers as JSON describes them, not networks. The metadata holds ``format``
("fastbp"), ``format_version``, ``architecture`` (JSON), in a checkpoint ``training`` (JSON), and
``sha256``, a SHA-256 over the others, the names, dtypes and shapes of the tensors and their bytes,
so any changed byte is found. Nothing is unpickled. The library safetensors is imported when a file
is read or written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..activations import resolve
from ..errors import CorruptModelError
from ..gates import Gated, Maxout, Residual
from ..layers import Dense, Layer, Weighted

__all__ = [
    "FORMAT_VERSION",
    "Tensors",
    "description",
    "layer_of",
    "read",
    "read_checkpoint",
    "require_writable",
    "write",
]

FORMAT = "fastbp"
FORMAT_VERSION = 1

# What the names of the network's own tensors begin with, in a checkpoint too.
OF_THE_NETWORK = ("layers.", "preprocessing.")

Tensors = dict[str, NDArray[Any]]


def write(
    path: str | os.PathLike[str],
    architecture: dict[str, Any],
    tensors: Tensors,
    training: dict[str, Any] | None = None,
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

    Raises
    ------
    OSError
        The folder does not exist, is not writable or is full; the old file is untouched.
    """
    from safetensors.numpy import save as to_bytes

    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "architecture": json.dumps(architecture, sort_keys=True),
    }
    if training is not None:
        metadata["training"] = json.dumps(training, sort_keys=True)
    metadata["sha256"] = _digest(metadata, tensors)
    _replace(Path(os.path.realpath(_check.path(path))), to_bytes(tensors, metadata))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Tensors]:
    """Return the architecture and the tensors of a model file; of a checkpoint, the network's.

    Raises
    ------
    CorruptModelError
        The file is not a fastbp model, is of a later format, or was cut or changed.
    OSError
        The file does not exist or cannot be read.
    """
    metadata, tensors = _read(path)
    if "training" in metadata:
        tensors = {
            name: array for name, array in tensors.items() if name.startswith(OF_THE_NETWORK)
        }
    return _json(path, metadata, "architecture"), tensors


def read_checkpoint(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], Tensors, dict[str, Any], Tensors]:
    """Return architecture and tensors of the network of a checkpoint, then those of its training.

    Raises
    ------
    CorruptModelError, OSError
        As `read`; or the file holds a network alone.
    """
    metadata, tensors = _read(path)
    if "training" not in metadata:
        raise CorruptModelError(
            f"{path} holds a network, but not its training: fastbp.load reads it"
        )
    rest = {name: array for name, array in tensors.items() if not name.startswith(OF_THE_NETWORK)}
    own = {name: array for name, array in tensors.items() if name not in rest}
    return _json(path, metadata, "architecture"), own, _json(path, metadata, "training"), rest


def require_writable(path: str | os.PathLike[str]) -> None:
    """Try whether `write` could write to `path`; nothing is changed.

    Raises
    ------
    OSError
        The folder does not exist or is not writable, or there is something else than a file.
    """
    target = Path(os.path.realpath(_check.path(path)))
    _require_file(target)
    temporary = _beside(target)
    with open(temporary, "xb"):
        pass
    temporary.unlink()


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, str], Tensors]:
    """Return the metadata and the tensors of a file whose checksum is right."""
    from safetensors import SafetensorError, safe_open

    # Opened here first for the OSError of a missing or unreadable file.
    path = _check.path(path)
    with open(path, "rb"):
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # What the library raises for bytes it cannot read differs by the place of the damage.
    except (SafetensorError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise CorruptModelError(f"{path} is not a readable safetensors file: {error}") from error
    _require_whole(path, metadata, tensors)
    return metadata, tensors


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


def _require_whole(path: object, metadata: dict[str, str], tensors: Tensors) -> None:
    if metadata.get("format") != FORMAT:
        raise CorruptModelError(f"{path} is a safetensors file, but not a fastbp model")
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise CorruptModelError(
            f"{path} has format version {version}; this fastbp reads version {FORMAT_VERSION}"
        )
    checksum = metadata.pop("sha256", None)
    if checksum != _digest(metadata, tensors):
        raise CorruptModelError(f"{path} was changed after it was written: SHA-256 differs")


def _json(path: object, metadata: dict[str, str], name: str) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(metadata[name])
    except (KeyError, ValueError, RecursionError) as error:
        raise CorruptModelError(f"{path} has no readable {name}: {error}") from error
    return value


def _digest(metadata: dict[str, str], tensors: Tensors) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name}\0{tensor.dtype.name}\0{tensor.shape}\0".encode())
        digest.update(tensor.data)
    return digest.hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Put `content` at `path`: temporary file beside it, fsync, rename, fsync of the folder."""
    _require_file(path)
    temporary = _beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _require_file(path: Path) -> None:
    """Refuse to put a file in the place of a folder, a device or a pipe."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def _sync_folder(folder: Path) -> None:
    # Windows cannot open a folder; its rename is durable without.
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
