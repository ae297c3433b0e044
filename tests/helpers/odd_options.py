"""Options in odd forms that mean the same, and values that no option of their kind can have."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
from pathlib import Path
from typing import Any

import numpy as np

nan, inf = np.nan, np.inf
HUGE, UNPRINTABLE = 10**400, 10**5000  # Python refuses to print the second


class Two(enum.IntEnum):
    TWO = 2


class NoText:
    """An object whose repr fails."""

    def __repr__(self):
        raise RuntimeError("no text")


class Index:
    """An object that is an integer by its `__index__` alone."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


NEVER = {
    "bytes": b"x",
    "nan": nan,
    "complex": 1j,
    "empty": [],
    "dict": {"a": 1},
    "set": {1},
    "object": object(),
    "class": int,
    "no text": NoText(),
    "date": datetime.date(2020, 1, 1),
    "decimal": decimal.Decimal("0.5"),
    "array": np.ones(3),
    "one element": np.ones(1),
    "masked": np.ma.masked,
    "zero byte": "a\0b",
    "surrogate": "\ud800",
    "dates": np.datetime64(1, "s"),
    "ragged": [[1.0], [1.0, 2.0]],
}
NO_NUMBER = {**NEVER, "none": None, "text": "0.2", "true": True, "np.true": np.True_}
NO_COUNT = {
    **NO_NUMBER,
    "fraction": 1.5,
    "float": 2.0,
    "np.float": np.float64(2),
    "negative": -1,
    "huge": HUGE,
    "unprintable": UNPRINTABLE,
    "int32": 2**31,
    "fraction array": np.array(2.0),
}
NO_REAL = {
    **NO_NUMBER,
    "inf": inf,
    "minus inf": -inf,
    "huge": HUGE,
    "unprintable": -UNPRINTABLE,
    "nan32": np.float32(nan),
}
NO_NAME = {
    **NEVER,
    "none": None,
    "number": 3,
    "unprintable": UNPRINTABLE,
    "word": "no such name",
    "np.word": np.str_("no such name"),
    "true": True,
}
# By kind of option: values that it cannot have.
BAD: dict[str, dict[str, Any]] = {
    "count": {**NO_COUNT, "zero": 0},
    "whole": NO_COUNT,
    "real": NO_REAL,
    "number": {**NO_REAL, "negative": -0.5, "minus": -1},
    "positive": {**NO_REAL, "negative": -0.5, "zero": 0, "minus zero": -0.0},
    "below one": {**NO_REAL, "negative": -0.5, "one": 1, "np.one": np.float32(1)},
    "share": {**NO_REAL, "negative": -0.5, "zero": 0.0, "one": 1.0},
    "flag": {**NO_NAME, "true": "True", "zero": 0, "one": 1, "float": 1.0},
    "seed": {
        k: v for k, v in NO_COUNT.items() if k not in ("huge", "unprintable", "int32", "none")
    },
    "name": NO_NAME,
    "word": {
        k: v for k, v in NO_NAME.items() if k not in ("word", "np.word", "zero byte", "surrogate")
    },
    "dtype": {k: v for k, v in NO_NAME.items() if k not in ("class", "none")}
    | {"half": np.float16, "integer": int, "swapped": ">f4"},
    "path": {
        k: v for k, v in NO_NAME.items() if k not in ("bytes", "word", "np.word", "surrogate")
    },
    "names": {
        k: v
        for k, v in NO_NAME.items()
        if k not in ("empty", "dict", "word", "np.word", "zero byte", "surrogate")
    },
    "column": {
        k: v for k, v in NO_NAME.items() if k not in ("empty", "array", "one element", "ragged")
    },
    "frame": {k: v for k, v in NO_NAME.items() if k not in ("empty", "dict", "one element")},
    "described": {k: v for k, v in NO_NAME.items() if k != "dict"},
    "object": {**NEVER, "none": None, "number": 3, "word": "x", "unprintable": UNPRINTABLE},
}


def same_as(value: Any, kind: str) -> dict[str, Any]:
    """Other forms of a value that an option of this kind may have."""
    if value is None or kind in ("object", "path", "names", "column", "frame", "described"):
        return {"a path": Path(value)} if kind == "path" else {}
    if kind == "flag":
        return {"np.bool": np.bool_(value), "no axes": np.array(value)}
    if kind in ("name", "word", "dtype"):
        forms = {
            "np.str": np.str_(value),
            "StrEnum": enum.StrEnum("Name", {"MEMBER": value}).MEMBER,
            "str and Enum": enum.Enum("Name", {"MEMBER": value}, type=str).MEMBER,
            "no axes": np.array(value),
        }
        return forms | (
            {"dtype": np.dtype(value), "type": np.dtype(value).type} if kind == "dtype" else {}
        )
    numbers = [np.float16, np.float32, np.float64, np.longdouble, fractions.Fraction]
    integers = [np.int8, np.uint8, np.int32, np.uint64, np.int64]
    if kind in ("count", "whole", "seed"):
        forms = {t.__name__: t(value) for t in integers} | {"index": Index(value)}
        forms["no axes"] = np.array(value)
        return forms | ({"IntEnum": Two.TWO} if value == 2 else {})
    value = float(value)
    forms = {t.__name__: t(value) for t in numbers if float(t(value)) == value}
    forms |= {"no axes": np.array(value), "objects": np.array(value, object)}
    if value.is_integer() and value >= 0:
        forms |= {t.__name__: t(value) for t in integers} | {"int": int(value)}
    return forms
