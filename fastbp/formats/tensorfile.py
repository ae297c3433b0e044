"""Safetensors in plain Python, for where the library cannot be imported.

The library has no build for free-threaded CPython 3.13. The bytes are those that it writes, but for
the order of the metadata, and what it refuses is refused here. Knows tensors of float32 and float64
and metadata of strings, which is all that a model file has.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["load", "save"]

# In the order in which the library stores them: the first have the largest items.
DTYPES: dict[str, np.dtype[Any]] = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4")}
ALIGNMENT = 8  # of the tensors, in bytes
LENGTH_BYTES = 8  # of the header's length
MOST = 2**64  # the library counts in as many bits


def save(tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    """Return the content of a file.

    Parameters
    ----------
    tensors : dict of str to ndarray
        C-contiguous, of float32 or float64.
    metadata : dict of str to str
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    parts, end = [], 0
    for code, dtype in DTYPES.items():
        for name in sorted(name for name, tensor in tensors.items() if tensor.dtype == dtype):
            parts.append(np.asarray(tensors[name], dtype).tobytes())
            begin, end = end, end + len(parts[-1])
            shape = list(tensors[name].shape)
            header[name] = {"dtype": code, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return b"".join([len(text).to_bytes(LENGTH_BYTES, "little"), text, *parts])


def load(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file, in its order of bytes: the lowest first.

    Raises
    ------
    ValueError
        The header is not that of tensors of float32 and float64 that lie one after another and
        fill the rest of the file.
    """
    begin = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    if len(content) < begin:
        raise ValueError(f"the header ends at {begin}, the file at {len(content)}")
    header = json.loads(content[LENGTH_BYTES:begin].decode())
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    header.pop("__metadata__", None)
    places = {name: _place(name, entry) for name, entry in header.items()}
    end, found = 0, {}
    for name, (dtype, shape, first, last) in sorted(places.items(), key=lambda item: item[1][2:]):
        size = math.prod(shape) * dtype.itemsize
        if first != end or last - first != size:
            raise ValueError(
                f"tensor {name} of {size} bytes lies from {first} to {last} after {end}"
            )
        if begin + last > len(content):
            raise ValueError(f"tensor {name} ends at {begin + last}, the file at {len(content)}")
        tensor = np.frombuffer(content, dtype, size // dtype.itemsize, begin + first)
        found[name] = tensor.reshape(shape).copy()
        end = last
    if begin + end != len(content):
        raise ValueError(f"the tensors end at {begin + end}, the file at {len(content)}")
    return found


def _place(name: str, entry: Any) -> tuple[np.dtype[Any], list[int], int, int]:
    """Return dtype, shape, begin and end of a tensor, as its entry in the header says."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError(f"tensor {name} has no dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"tensor {name} is of an unknown dtype")
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(
            type(number) is int and 0 <= number < MOST for number in numbers
        ):
            raise ValueError(f"tensor {name} has a shape or data_offsets that are no sizes")
    if len(offsets) != 2:
        raise ValueError(f"tensor {name} has {len(offsets)} data_offsets, wanted 2")
    return DTYPES[code], shape, offsets[0], offsets[1]
