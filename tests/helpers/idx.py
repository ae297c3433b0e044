"""IDX files, written from the definition of the format."""

from __future__ import annotations

import struct

import numpy as np


def idx(array: np.ndarray, code: int = 8) -> bytes:
    """The bytes of the IDX file of an array; `code` is the type's byte."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()
