"""Odd and bad forms of an array, one for each thing that a user may hand over.

A form keeps the values, so that a call must give the bits that it gives for a plain copy, or it is
one that no call can use.
"""

from __future__ import annotations

import array
import collections
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

nan, inf = np.nan, np.inf


class Odd(NamedTuple):
    """How a form is made of a plain array, and what a call makes of it.

    `expect` is "same", the bits of the plain copy or the same error; "error", a named one; or
    "either". With `one_row` all arrays of a call are cut to their first row before.
    """

    make: Callable[[np.ndarray], Any]
    expect: str = "same"
    one_row: bool = False


class Subclass(np.ndarray):
    """A subclass that overrides nothing."""


class Loud(np.ndarray):
    """A subclass whose arithmetic is not that of NumPy."""

    def __array_ufunc__(self, *arguments, **options):
        raise RuntimeError("no arithmetic")


class WithArray:
    """An object that becomes an array."""

    def __init__(self, a):
        self._a = a

    def __array__(self, dtype=None, copy=None):
        return self._a if dtype is None else self._a.astype(dtype)


class WithInterface:
    """An object that describes its memory."""

    def __init__(self, a):
        self._a, self.__array_interface__ = a, a.__array_interface__


class Broken:
    """An object that fails to become an array."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array today")


def filled(value, at=-1):
    """A copy with one element set."""

    def make(a):
        a = np.array(a, np.result_type(a, np.float64) if isinstance(value, float) else a.dtype)
        a.flat[at] = value
        return a

    return make


def stepped(a):
    return np.repeat(a, 2, axis=0)[::2]


def stepped_columns(a):
    return np.repeat(a, 3, axis=-1)[..., ::3]


def backwards(a):
    return a[::-1].copy()[::-1]


def backwards_columns(a):
    return a[..., ::-1].copy()[..., ::-1]


def one_backwards(a):
    row = np.repeat(a, 2, axis=0)[1::-2]
    assert row.strides[0] < 0
    return row


def one_far_from_the_next(a):
    assert len(a) == 1  # a second one would lie outside
    return np.lib.stride_tricks.as_strided(a, strides=(12345, *a.strides[1:]))


def misaligned(a):
    return np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def memmap(mode):
    def make(a):
        folder = tempfile.mkdtemp(prefix="fastbp-odd-")
        path = Path(folder, "x.npy")
        np.save(path, a)
        mapped = np.load(path, mmap_mode=mode)
        path.unlink()  # the map stays as long as the array does
        Path(folder).rmdir()
        return mapped

    return make


def of_objects(value=None, at=-1):
    def make(a):
        objects = a.astype(object)
        if at is not None:
            objects.flat[at] = value
        return objects

    return make


def ragged(a):
    rows = a.tolist()
    rows[-1] = rows[-1][:-1] if a.ndim > 1 else [rows[-1], rows[-1]]
    return rows


def bits(a):
    return a.astype([("a", a.dtype)])


def rows_of_arrays(a):
    return (
        [array.array("d", row) for row in a.tolist()]
        if a.ndim == 2
        else array.array(a.dtype.char, a.tolist())
    )


def whole(dtype):
    return lambda a: np.abs(np.rint(a * 4) if a.dtype.kind == "f" else a).astype(dtype)


def masked_rows(a):
    return [np.ma.masked_array(row, True) for row in a]


def nested_masked(a):
    rows = a.tolist()
    if a.ndim == 2:
        rows[-1][-1] = np.ma.masked
    else:
        rows[-1] = np.ma.masked
    return rows


def recursive(a):
    rows = a.tolist()
    rows.append(rows)
    return rows


FORMS: dict[str, Odd] = {
    # types of number
    "float32": Odd(lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a.astype(np.int32)),
    "float16": Odd(lambda a: a.astype(np.float16)),
    "long double": Odd(lambda a: a.astype(np.longdouble)),
    "int8": Odd(whole(np.int8)),
    "int64": Odd(whole(np.int64)),
    "uint64": Odd(whole(np.uint64)),
    "bool": Odd(lambda a: a > 0),
    "swapped bytes": Odd(lambda a: a.astype(a.dtype.newbyteorder())),
    "objects": Odd(of_objects(at=None)),
    "objects of NumPy": Odd(
        lambda a: (
            np.array([*map(np.float64, a.flat), None], object)[:-1].reshape(a.shape)
            if a.dtype.kind == "f"
            else of_objects(at=None)(a)
        )
    ),
    "an object": Odd(of_objects(object()), "error"),
    "nothing": Odd(of_objects(None), "error"),
    "a huge integer": Odd(of_objects(10**400), "error"),
    "text": Odd(lambda a: a.astype(str), "error"),
    "text of variable length": Odd(lambda a: a.astype(np.dtypes.StringDType()), "error"),
    "bytes": Odd(lambda a: a.astype("S8"), "error"),
    "complex": Odd(lambda a: a.astype(complex), "error"),
    "records": Odd(bits, "error"),
    "dates": Odd(lambda a: a.astype(np.int64).astype("M8[D]"), "error"),
    "spans": Odd(lambda a: a.astype(np.int64).astype("m8[s]"), "error"),
    "void": Odd(lambda a: a.view("V8"), "error"),
    # layouts
    "Fortran": Odd(np.asfortranarray),
    "stepped": Odd(stepped),
    "stepped columns": Odd(stepped_columns),
    "backwards": Odd(backwards),
    "columns backwards": Odd(backwards_columns),
    "one row backwards": Odd(one_backwards, one_row=True),
    "one row, odd stride": Odd(one_far_from_the_next, one_row=True),
    "zero stride": Odd(lambda a: np.broadcast_to(a[:1], a.shape)),
    "misaligned": Odd(misaligned),
    "no axes": Odd(lambda a: np.array(a.flat[0]), "error"),
    "one axis": Odd(lambda a: a.ravel() if a.ndim > 1 else a.reshape(-1, 1, 1), "error"),
    "three axes": Odd(lambda a: a.reshape(1, *a.shape) if a.ndim > 1 else a[None, None], "error"),
    "no rows": Odd(lambda a: a[:0], "error"),
    "no columns": Odd(lambda a: a[:, :0] if a.ndim > 1 else a[:, None][:, :0], "error"),
    # memory
    "read-only": Odd(read_only),
    "memmap": Odd(memmap("r")),
    "private memmap": Odd(memmap("c")),
    "subclass": Odd(lambda a: a.view(Subclass)),
    "subclass without arithmetic": Odd(lambda a: a.view(Loud)),
    "matrix": Odd(lambda a: a.view(np.matrix) if a.ndim == 2 else a.view(Subclass)),
    "masked": Odd(
        lambda a: np.ma.masked_array(a, np.arange(a.size).reshape(a.shape) == 1), "error"
    ),
    "masked rows in a list": Odd(masked_rows, "error"),
    "a masked number in a list": Odd(nested_masked, "error"),
    "memoryview": Odd(lambda a: memoryview(a.copy())),
    "ctypes": Odd(lambda a: np.ctypeslib.as_ctypes(a.copy())),
    "array.array": Odd(rows_of_arrays),
    "__array__": Odd(lambda a: WithArray(a.copy())),
    "__array_interface__": Odd(lambda a: WithInterface(a.copy())),
    "broken __array__": Odd(lambda a: Broken(), "error"),
    # values
    "nan": Odd(filled(nan), "error"),
    "inf": Odd(filled(inf, 0), "error"),
    "minus inf": Odd(filled(-inf), "error"),
    "minus zero": Odd(filled(-0.0)),
    "denormal": Odd(lambda a: (a * 1e-40).astype(np.float32) if a.dtype.kind == "f" else a.copy()),
    "beyond float32": Odd(filled(1e300)),
    "beyond float64": Odd(
        lambda a: filled(np.longdouble("1e4000"))(a.astype(np.longdouble)), "error"
    ),
    # shapes
    "a row more": Odd(lambda a: np.concatenate([a, a[:1]]), "error"),
    "a row less": Odd(lambda a: a[:-1].copy(), "error"),
    "a column more": Odd(lambda a: np.concatenate([a, a[..., :1]], -1), "error"),
    "a column less": Odd(lambda a: a[..., :-1].copy(), "error"),
    # containers
    "list": Odd(np.ndarray.tolist),
    "tuple": Odd(lambda a: tuple(map(tuple, a.tolist())) if a.ndim == 2 else tuple(a.tolist())),
    "list of arrays": Odd(list),
    "deque": Odd(lambda a: collections.deque(a.tolist())),
    "ragged": Odd(ragged, "error"),
    "ragged objects": Odd(lambda a: np.array([*ragged(a), None], object)[:-1], "error"),
    "recursive list": Odd(recursive, "error"),
    "None": Odd(lambda a: None, "error"),
    "number": Odd(lambda a: 3.5, "error"),
    "word": Odd(lambda a: "rows", "error"),
    "set": Odd(lambda a: {1, 2}, "error"),
    "dict": Odd(lambda a: {"x": 1}, "error"),
    "generator": Odd(lambda a: (row for row in a), "error"),
    "a class": Odd(lambda a: np.ndarray, "error"),
}


def plain_of(odd: Any) -> Any:
    """The values of a form as a plain array: C-contiguous, float64, int64 or bool, or strings."""
    a = np.array(odd.toarray() if hasattr(odd, "toarray") else np.asarray(odd), order="C")
    kind = {"f": np.float64, "i": np.int64, "u": np.int64, "b": bool, "T": object, "U": object}
    if a.dtype == np.float32:  # what is of float32 stays so
        return a
    if a.dtype.kind == "u" and a.size and a.max() > np.iinfo(np.int64).max:
        return a.astype(np.uint64)
    return a.astype(kind.get(a.dtype.kind, a.dtype)) if a.dtype.kind != "O" else a


def forms_of_libraries() -> dict[str, Odd]:
    """Forms of the libraries that are installed; frames are of two dimensions, series of one."""
    found = {}
    try:
        import pandas
    except ImportError:
        pass
    else:
        found["pandas"] = Odd(
            lambda a: (
                pandas.DataFrame(a, columns=list("abcdefgh")[: a.shape[1]])
                if a.ndim == 2
                else pandas.Series(a)
            )
        )
        found["pandas, index out of order"] = Odd(
            lambda a: pandas.Series(a, range(len(a))[::-1]) if a.ndim == 1 else a
        )
        found["pandas, a gap"] = Odd(lambda a: found["pandas"].make(filled(nan)(a)), "error")
    try:
        import polars
    except ImportError:
        pass
    else:
        found["polars"] = Odd(
            lambda a: polars.DataFrame(a) if a.ndim == 2 else polars.Series(a.tolist())
        )
        found["polars, lazy"] = Odd(lambda a: polars.LazyFrame({"a": a.ravel().tolist()}), "error")
    try:
        from scipy import sparse
    except ImportError:
        pass
    else:
        found["sparse matrix"] = Odd(lambda a: sparse.csr_matrix(np.atleast_2d(a)), "error")
        found["sparse array"] = Odd(lambda a: sparse.coo_array(np.atleast_2d(a)), "error")
    try:
        import torch
    except ImportError:
        pass
    else:
        tensor = torch.tensor
        found["torch"] = Odd(lambda a: tensor(a))
        found["torch, transposed"] = Odd(lambda a: tensor(np.ascontiguousarray(a.T)).T)
        found["torch, with a gradient"] = Odd(
            lambda a: tensor(a.astype(float)).requires_grad_(), "error"
        )
        found["torch, bfloat16"] = Odd(lambda a: tensor(a).bfloat16(), "error")
        found["torch, sparse"] = Odd(lambda a: tensor(a).to_sparse(), "error")
        found["torch, without memory"] = Odd(lambda a: torch.empty(a.shape, device="meta"), "error")
    return found
