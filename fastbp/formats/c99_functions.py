"""The engine's elementary functions as C99 for one number at a time, read from their source.

An exported network computes with the functions of ``src/activations.h``, so that there is one copy
of their polynomials and the outputs have the engine's bits. The header is written in the words of
``src/vec.h``; this module translates its functions, gives them the words for a vector of one
number, and finds the functions that each of them needs.

In the text of a `Definition` ``@`` stands before every name that is to have the prefix of the
exported network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["Activation", "Definitions", "functions"]

HEADER = "activations.h"

# The words of src/vec.h, for a vector of one number. {integer} and {unsigned} have its bits.
WORDS = {
    "integer": "typedef {integer} @integer;",
    "MANTISSA_BITS": "enum {{ @MANTISSA_BITS = {mantissa} }};",
    "EXPONENT_BIAS": "enum {{ @EXPONENT_BIAS = {bias} }};",
    "set1": "static inline @real @set1(@real a) {{ return a; }}",
    "bits": """static inline @integer @bits(@real a)
{{
    @integer b;
    memcpy(&b, &a, sizeof b);
    return b;
}}""",
    "from_bits": """static inline @real @from_bits(@integer a)
{{
    @real b;
    memcpy(&b, &a, sizeof b);
    return b;
}}""",
    "exponent": """static inline @integer @exponent(@integer n)
{{
    return (@integer)(({unsigned})n << @MANTISSA_BITS);
}}""",
    "minus_bits": """static inline @integer @minus_bits(@integer a, @integer b)
{{
    return (@integer)(({unsigned})a - ({unsigned})b);
}}""",
    "less": "static inline @integer @less(@real a, @real b) {{ return a < b; }}",
    "select": """static inline @real @select(@integer mask, @real yes, @real no)
{{
    return mask ? yes : no;
}}""",
    "max": "static inline @real @max(@real a, @real b) {{ return a > b ? a : b; }}",
    "abs": "static inline @real @abs(@real a) {{ return @from_bits(@bits(a) & {largest}); }}",
    "copysign": """static inline @real @copysign(@real a, @real b)
{{
    return @from_bits(@bits(@abs(a)) | (@bits(b) & ~{largest}));
}}""",
    "fma": """static inline @real @fma(@real a, @real b, @real c)
{{
#ifdef FASTBP_NO_FMA
    return a * b + c;
#else
    return {fma}(a, b, c);
#endif
}}""",
    "fma_double": """static inline double @fma_double(double a, double b, double c)
{{
#ifdef FASTBP_NO_FMA
    return a * b + c;
#else
    return fma(a, b, c);
#endif
}}""",
}
FLOAT = {
    "integer": "int32_t",
    "unsigned": "uint32_t",
    "largest": "INT32_MAX",
    "fma": "fmaf",
    "mantissa": "23",
    "bias": "127",
}
DOUBLE = {
    "integer": "int64_t",
    "unsigned": "uint64_t",
    "largest": "INT64_MAX",
    "fma": "fma",
    "mantissa": "52",
    "bias": "1023",
}


class Activation(NamedTuple):
    """f(z), and f' as an expression of y or of z; ``a`` is the parameter."""

    f: str
    slope: str

    def slope_reads(self, name: str) -> bool:
        """Whether y, z or a occurs in f'."""
        return name in re.findall(r"\w+", self.slope)


class Definitions:
    """Definitions by name, and what each of them needs.

    Parameters
    ----------
    texts : dict of str to str
    """

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def needed(self, text: str) -> list[str]:
        """Return the definitions that a text needs, each after those that it needs itself."""
        found: dict[str, str] = {}
        self._add(_marked(text), found)
        return list(found.values())

    def _add(self, names: Iterable[str], found: dict[str, str]) -> None:
        for name in names:
            if name in self._texts and name not in found:
                own = self._texts[name]
                self._add([word for word in _marked(own) if word != name], found)
                found[name] = own


def _marked(text: str) -> list[str]:
    return re.findall(r"@(\w+)", text)


@cache
def functions(is_double: bool) -> tuple[dict[str, str], dict[str, Activation]]:
    """Return the definitions for float or double, and the element-wise activations by name."""
    header = _of_dtype(_without_comments(_source()), is_double)
    words = DOUBLE if is_double else FLOAT
    texts = {name: text.format(**words) for name, text in WORDS.items()}
    constants = _constants(header)
    for name, value in constants.items():
        if value.startswith("{"):
            texts[name] = _polynomial(name, value)
        else:
            texts[name] = f"static const @real @{name} = {_translated(value, constants)};"
    for members, name in re.findall(r"typedef struct \{(.*?)\} (\w+);", header, re.DOTALL):
        texts[f"{name}_t"] = _translated(f"typedef struct {{{members}}} {name};", constants)
    for name, text in _functions(header):
        texts[name] = _translated(text, constants)
    return texts, _table(header, constants)


def _source() -> str:
    """Return the header: beside this module in an installed package, else where it is written."""
    here = Path(__file__)
    installed = here.with_name(HEADER)
    path = installed if installed.exists() else here.parents[2] / "src" / HEADER
    return path.read_text(encoding="utf-8")


def _without_comments(text: str) -> str:
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"[ \n]*\n( *)", r"\n\1", text)


def _of_dtype(text: str, is_double: bool) -> str:
    """Return the header with one of the two branches for the dtypes."""
    branches = re.compile(r"#if FBP_REAL_BITS == 32\n(.*?)#else\n(.*?)#endif\n", re.DOTALL)
    return branches.sub(lambda found: found[2 if is_double else 1], text)


def _constants(header: str) -> dict[str, str]:
    """Return the values of the constants by name; of a table the braces too."""
    found = {}
    for line in re.findall(r"^static const real (.*?);", header, re.DOTALL | re.MULTILINE):
        for declared in _split(line):
            name, value = declared.split("=", 1)
            found[name.replace("[]", "").strip()] = value.strip()
    return found


def _polynomial(name: str, value: str) -> str:
    """Return a polynomial as a function, with the coefficients of a table, highest power first."""
    first, *rest = _split(value.strip("{}"))
    steps = "\n".join(f"    sum = @fma(sum, x, {number});" for number in rest)
    return (
        f"static inline @real @{name}(@real x)\n{{\n    @real sum = {first};\n{steps}\n"
        "    return sum;\n}"
    )


def _functions(header: str) -> Iterable[tuple[str, str]]:
    for found in re.finditer(r"^INLINE .*?\bv_(\w+)\(", header, re.MULTILINE):
        begin = header.index("{", found.start())
        yield found[1], header[found.start() : _closing(header, begin) + 1]


def _closing(text: str, begin: int) -> int:
    """Return the place of the brace that closes the one at `begin`."""
    depth = 0
    for at in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return at
    raise ValueError(f"{HEADER}: got a brace without an end")


def _table(header: str, constants: dict[str, str]) -> dict[str, Activation]:
    rows = re.findall(r"^ *ROW\(FBP_(.*), body\)", header, re.MULTILINE)
    found = {}
    for row in rows:
        name, f, slope, _ = (part.strip() for part in _split(row))
        found[name.lower()] = Activation(_translated(f, constants), _translated(slope, constants))
    return found


def _split(text: str) -> list[str]:
    """Return the parts of a text between the commas that are in no brackets."""
    parts, depth, begin = [], 0, 0
    for at, character in enumerate(text):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[begin:at].strip())
            begin = at + 1
    return [*parts, text[begin:].strip()]


def _translated(text: str, constants: dict[str, str]) -> str:
    text = re.sub(r"^INLINE ", "static inline ", text)
    # C++ has no compound literals.
    for returned in re.findall(r"return \(exp_parts\)\{.*\};", text):
        p, n = _split(returned[returned.index("{") + 1 : -2])
        text = text.replace(
            returned, f"exp_parts e;\n    e.p = {p};\n    e.n = {n};\n    return e;"
        )
    text = re.sub(r"POLY\((.*?), (\w+)\)", r"\2(\1)", text)
    text = re.sub(r"\bexp_parts\b", "@exp_parts_t", text)
    text = re.sub(r"\bv_(\w+)", r"@\1", text)
    text = re.sub(r"\b(vec|real)\b", "@real", text)
    text = re.sub(r"\b(ivec|ireal)\b", "@integer", text)
    own = [*constants, "MANTISSA_BITS", "EXPONENT_BIAS"]
    return re.sub(rf"(?<!@)\b({'|'.join(own)})\b", r"@\1", text)
