"""The C functions of fastbp.h by ctypes, which calls them without the GIL, on arrays of NumPy."""

from __future__ import annotations

import ctypes
import re
from ctypes import c_char_p, c_double, c_int, c_int32, c_size_t, c_ssize_t, c_void_p
from pathlib import Path

import fastbp as fb
from fastbp import embedding

HEADER = Path(fb.get_include(), "fastbp.h").read_text()
CODES = {name: int(code) for name, code in re.findall(r"FASTBP_(?:ERROR_)?(\w+) = (-?\d+)", HEADER)}
VERSION = tuple(map(int, re.findall(r"define FASTBP_ABI_M\w+ (\d+)", HEADER)))
TYPES = {
    "int": c_int, "ptrdiff_t": c_ssize_t, "double": c_double, "const char *": c_char_p,
    "int32_t": c_int32, "size_t": c_size_t,
}  # fmt: skip


class Sizes(ctypes.Structure):
    _fields_ = [(name, c_ssize_t) for name in ("n_inputs", "n_outputs", "n_parameters", "max_rows")]
    _fields_ += [("dtype", c_int32), ("x_dtype", c_int32)]


def type_of(text):
    """The type of ctypes for one of the header's: all other pointers are addresses."""
    text = text.strip()
    return TYPES.get(text, c_void_p if "*" in text else TYPES.get(text.rpartition(" ")[0]))


def fields():
    """Names and types of the table, read from the header."""
    body = re.search(r"typedef struct fastbp_api \{(.*?)\} fastbp_api;", HEADER, re.DOTALL)[1]
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    for line in map(str.strip, " ".join(body.split()).split(";")):
        if found := re.fullmatch(r"(.+?) ?\(\*(\w+)\)\((.*)\)", line):
            result, name, arguments = found.groups()
            arguments = [] if arguments == "void" else arguments.split(",")
            kinds = [type_of(re.sub(r"(\w+)$", "", one)) for one in arguments]
            yield name, ctypes.CFUNCTYPE(type_of(result), *kinds)
        elif line:
            kind, names = re.fullmatch(r"(.*?[ *])(\w+(?:, \w+)*)", line).groups()
            for name in names.split(", "):
                yield name, type_of(kind)


class Table(ctypes.Structure):
    _fields_ = list(fields())


def _table():
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
    name = re.search(r'FASTBP_CAPSULE "(.*?)"', HEADER)[1]
    return Table.from_address(pointer(embedding._C_API, name.encode()))


api = _table()


def code(result):
    """The name of a result: "OK", "SIZE", ..."""
    return {number: name for name, number in CODES.items() if number <= 0}[result]


def address(array):
    """Of an array's numbers; None stays NULL."""
    return None if array is None else array.ctypes.data


def dtype_of(dtype):
    return CODES[str(dtype).upper()]


class Handle:
    """A handle of a Network, a Trainer or a file; its methods are the functions of the table."""

    def __init__(self, given, max_rows=64, x_dtype=None, dtype=None):
        self.kind = "trainer" if isinstance(given, fb.Trainer) else "network"
        network = given.network if self.kind == "trainer" else given
        dtype = dtype_of(dtype or network.dtype)
        x_dtype = dtype if x_dtype is None else dtype_of(x_dtype)
        self.pointer = c_void_p()
        open_ = getattr(api, f"open_{self.kind}")
        out = ctypes.addressof(self.pointer)
        self.opened = code(open_(id(given), dtype, x_dtype, max_rows, out))

    def __del__(self):
        getattr(api, f"close_{self.kind}")(self.pointer)  # a code if it is closed, or NULL

    def __getattr__(self, name):
        for whole in (name, f"{name}_{self.kind}", f"{self.kind}_{name}"):
            if hasattr(api, whole):
                function = getattr(api, whole)
                return lambda *arguments: self.named(
                    whole, function(self.pointer, *map(plain, arguments))
                )
        raise AttributeError(name)

    def named(self, name, result):
        return result if name == "scratch_bytes" and result > 0 else code(result)


def plain(argument):
    """Arrays and handles as addresses."""
    if isinstance(argument, Handle):
        return argument.pointer
    if isinstance(argument, ctypes._SimpleCData | ctypes.Structure):
        return ctypes.addressof(argument)
    return argument.ctypes.data if hasattr(argument, "ctypes") else argument
