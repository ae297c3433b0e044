"""A network as one file of C99 that needs no other: `to_c`; its declarations alone: `to_c_header`.

The file has the engine's arithmetic: its functions (`c99_functions`), its order of sums
(`c99_loops`), its numbers, written in hexadecimal. So the outputs have the bits of `predict`
wherever C's ``fma`` rounds once and no number on the way is denormal, which the engine takes for
zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._affine import Affine
from ..engine.config import __version__
from ..errors import ConfigError, InputError, brief
from ..layers import Layer, weighted_layers
from .c99_functions import Definitions, functions
from .c99_loops import LOOPS, activation_loops
from .c99_plan import Plan

__all__ = ["Argument", "Export", "Function", "comment", "in_comment", "to_c", "to_c_header"]

# Of scratch; what needs more takes it from its caller.
MOST_STACK_BYTES = 1 << 16
# Names of C have no limit in practice, those of Fortran have 63 characters.
MOST_NAME = 40
# Of a string that every compiler of C99 takes.
MOST_STRING = 4000
KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const
    constexpr const_cast continue decltype default delete do double dynamic_cast else enum explicit
    export extern false float for friend goto if inline int long mutable namespace new noexcept not
    not_eq nullptr operator or or_eq private protected public register reinterpret_cast restrict
    return short signed sizeof static static_assert static_cast struct switch template this
    thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using
    virtual void volatile wchar_t while xor xor_eq
    """

DECLARATIONS = """\
#ifndef @declared
#define @declared

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

{enums}

{functions}
#ifdef __cplusplus
}
#endif

#endif
"""
PROLOGUE = """\
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \\
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "@: got -ffast-math or a part of it, wanted a compilation without: it changes the outputs"
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "@: got arithmetic in a wider type (x87?), wanted FLT_EVAL_METHOD 0"
#endif
#if FLT_RADIX != 2 || FLT_MANT_DIG != 24{double}
#error "@: got other numbers than those of IEEE 754, wanted binary32{and_double}"
#endif

/* Products and sums are rounded one by one, unless they are written as one. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#ifndef FASTBP_RESTRICT
#if defined(__GNUC__) || defined(_MSC_VER)
#define FASTBP_RESTRICT __restrict
#elif defined(__cplusplus)
#define FASTBP_RESTRICT
#else
#define FASTBP_RESTRICT restrict
#endif
#endif

typedef {real} @real;
"""
EPILOGUE = """
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
"""


class Argument(NamedTuple):
    """An argument of an exported function: what it is for, and its shape; None is `rows`.

    Without a shape it is the number of rows itself.
    """

    name: str
    intent: str
    shape: tuple[int | None, ...] = ()


class Function(NamedTuple):
    """An exported function."""

    name: str
    purpose: str
    arguments: tuple[Argument, ...]


def to_c(net: Any, name: str, *, gradients: bool = False, real: str | None = None) -> str:
    """Return a network as a file of C99, or C++, that needs no other file and no heap.

    Preprocessing is part of it, dropout and the groups of training are not. The same network gives
    the same text.

    Parameters
    ----------
    net : Network
    name : str
        What all names in the file begin with: a name of C of at most 40 characters that begins with
        a letter. ``<name>_predict(x, y)`` computes the outputs y of a row x, and
        ``<name>_predict_rows(x, y, rows)`` those of many.
    gradients : bool
        Also ``<name>_vjp(x, v, y, dx)``, which computes ``dx = v J``, and ``<name>_jacobian(x, y,
        J)``; J is dy/dx, [n_outputs, n_inputs].
    real : {"float", "double"}, optional
        The type of all numbers. Default: that of the network's dtype.

    Raises
    ------
    ConfigError
        `net` is none, another argument cannot be used, or the name of a class is not one for a
        string of C.
    InputError
        A weight is not finite in that type.
    BusyError
        A call of another thread is training the network.
    """
    return Export(net, name, gradients, real).source()


def to_c_header(net: Any, name: str, *, gradients: bool = False, real: str | None = None) -> str:
    """Return the declarations of the file that `to_c` gives, for those who call its functions.

    Parameters and errors are those of `to_c`.
    """
    return Export(net, name, gradients, real).header()


def comment(lines: Iterable[str]) -> str:
    """Return a comment of C, whatever the lines hold."""
    return _framed(map(in_comment, lines))


class Export:
    """A network about to be written as C.

    Parameters
    ----------
    net, name, gradients, real
        As for `to_c`.

    Attributes
    ----------
    name : str
    real : str
        ``"float"`` or ``"double"``.
    n_inputs, n_outputs : int
        Of a row.
    functions : list of Function
    """

    def __init__(self, net: Any, name: str, gradients: bool, real: str | None) -> None:
        layers = getattr(net, "layers", None)
        if not isinstance(layers, tuple) or not hasattr(net, "preprocessing"):
            raise ConfigError(f"net: got {brief(net)}, wanted a Network")
        self.name = _name(name)
        self._gradients = _check.flag(gradients, "gradients")
        own = "float" if net.dtype == np.float32 else "double"
        self.real = own if real is None else _check.choice(real, ("float", "double"), "real")
        with net._model.quiet():
            self.n_inputs, self.n_outputs = net.n_inputs, net.n_outputs
            self._affine: Affine | None = net.preprocessing
            self._columns: Sequence[str] = net.columns or ()
            classes = net.classes
            self._parameters = [
                (_plain(layer.weight, self.real), _plain(layer.bias, self.real))
                for layer in weighted_layers(layers)
            ]
        self._classes = [] if classes is None else [_string(c) for c in classes.tolist()]
        self._texts, self._activations = functions(self.real == "double")
        self._texts = self._texts | LOOPS
        self._tags: dict[tuple[str, float | None], str] = {}
        self._predict = self._plan(layers, gradients=False)
        self._scratch = {"predict": self._predict.places()[1]}
        if self._gradients:
            self._both = self._plan(layers, gradients=True)
            self._scratch["vjp"] = self._both.places()[1]
            self._scratch["jacobian"] = self._scratch["vjp"] + self.n_outputs
        self.functions = self._functions()

    def source(self) -> str:
        """Return the file."""
        bodies = self._bodies()
        definitions = Definitions(self._texts).needed(bodies)
        is_double = self.real == "double" or "@mean" in bodies + "".join(definitions)
        prologue = (
            PROLOGUE.replace("{real}", self.real)
            .replace("{double}", " || DBL_MANT_DIG != 53" if is_double else "")
            .replace("{and_double}", " and binary64" if is_double else "")
        )
        classes = "const char *const @classes[@n_classes] = {\n    "
        classes += ",\n    ".join(self._classes) + "};\n"
        parts = [
            self._comment(),
            self._declarations(),
            prologue,
            classes if self._classes else "",
            *self._arrays(),
            "\n" + "\n".join(definitions) + "\n\n",
            bodies,
            EPILOGUE,
        ]
        return self._named("\n".join(part for part in parts if part))

    def header(self) -> str:
        """Return the declarations alone."""
        return self._named(f"{self._comment()}\n{self._declarations()}")

    def title(self) -> str:
        """Return what the file is, in a sentence for any language."""
        return (
            f"{self.name}: a network of {self.n_inputs} inputs and {self.n_outputs} outputs in "
            f"{self.real}, written by fastbp {__version__}"
        )

    def bytes_of(self, function: str) -> int:
        """Return the bytes of scratch of predict, vjp or jacobian."""
        return self._scratch[function] * (8 if self.real == "double" else 4)

    def takes_scratch(self, function: str) -> bool:
        """Whether predict, vjp or jacobian gets its scratch from the caller."""
        return self.bytes_of(function) > MOST_STACK_BYTES

    def _named(self, text: str) -> str:
        """Put the prefix where @ stands for it, and the name where @ stands alone."""
        text = re.sub(r"@(?=\w)", f"{self.name}_", text)
        return text.replace("@", self.name).replace("\x00", "@")

    def _plan(self, layers: Sequence[Layer], gradients: bool) -> Plan:
        n_inputs = self.n_inputs if self._affine is None else self._affine.n_outputs
        return Plan(layers, self._affine, n_inputs, self._tag_of, self._saves_slope, gradients)

    def _tag_of(self, name: str, parameter: float | None) -> str:
        """Return the last part of the names of an activation's loops, which are made here."""
        key = name, parameter
        if key not in self._tags:
            n = sum(name == other for other, _ in self._tags)
            self._tags[key] = tag = name if parameter is None else f"{name}_{n}"
            if name != "softmax":
                written = None if parameter is None else _number(parameter, self.real)
                self._texts |= activation_loops(tag, self._activations[name], written)
        return self._tags[key]

    def _saves_slope(self, tag: str) -> bool:
        (name,) = (name for (name, _), own in self._tags.items() if own == tag)
        return name != "softmax" and self._activations[name].slope_reads("z")

    def _functions(self) -> list[Function]:
        n, m = self.n_inputs, self.n_outputs
        x, y = Argument("x", "in", (n,)), Argument("y", "out", (m,))
        rows = (
            Argument("x", "in", (None, n)),
            Argument("y", "out", (None, m)),
            Argument("rows", "in"),
        )
        found = [
            Function("predict", "y, the outputs for the row x", (x, y)),
            Function("predict_rows", "the outputs for many rows", rows),
        ]
        if self._gradients:
            v, dx = Argument("v", "in", (m,)), Argument("dx", "out", (n,))
            jacobian = Argument("jacobian", "out", (m, n))
            found.append(Function("vjp", "y, and dx = v J with J = dy/dx", (x, v, y, dx)))
            found.append(Function("jacobian", "y, and J = dy/dx", (x, y, jacobian)))
        return [
            function._replace(arguments=(*function.arguments, *self._scratch_of(function.name)))
            for function in found
        ]

    def _scratch_of(self, function: str) -> list[Argument]:
        key = function.removesuffix("_rows")
        return (
            [Argument("scratch", "out", (self._scratch[key],))] if self.takes_scratch(key) else []
        )

    def _comment(self) -> str:
        lines = [f"{self.title()}.", "", *self._usage()]
        if self._columns:
            lines += ["", "The columns of x:"]
            lines += [
                f"    x[{i}]  {_kept(in_comment(name))}" for i, name in enumerate(self._columns)
            ]
        if self._classes:
            names = "their classes, the first at 0, then the second" if self.n_outputs == 1 else ""
            lines += ["", f"{self.name}_classes: {names or 'the names of the outputs, in order'}."]
        return _framed(lines)

    def _usage(self) -> Iterator[str]:
        yield "It needs no other file and no heap; any number of threads may call it at once. It is"
        yield "fast with -O3 and an instruction for fma (-mfma on x86-64). Arrays must not overlap."
        yield "FASTBP_NO_FMA makes products and sums of each fma, for machines without it: the"
        yield "outputs differ in the last digits then. Otherwise they have the bits of"
        yield "Network.predict, as long as no number on the way is denormal."
        for key in self._scratch:
            where = "scratch of the caller" if self.takes_scratch(key) else "stack"
            yield f"{self.name}_{key} needs {self.bytes_of(key)} bytes of {where}."

    def _declarations(self) -> str:
        numbers = {"n_inputs": self.n_inputs, "n_outputs": self.n_outputs}
        if self._classes:
            numbers["n_classes"] = len(self._classes)
        numbers |= {f"{key}_scratch": n for key, n in self._scratch.items()}
        enums = "enum {\n" + ",\n".join(f"    @{key} = {n}" for key, n in numbers.items()) + "\n};"
        lines = ["extern const char *const @classes[@n_classes];\n"] if self._classes else []
        lines += [
            f"/* {f.purpose}: {_shapes(f)} */\n{_prototype(f, self.real)};\n"
            for f in self.functions
        ]
        return DECLARATIONS.replace("{enums}", enums).replace("{functions}", "\n".join(lines))

    def _arrays(self) -> Iterator[str]:
        if self._affine is not None:
            yield _array("mean", self._affine.mean, "double")
            yield _array("matrix", self._affine.matrix, "double")
        for i, (weight, bias) in enumerate(self._parameters):
            yield _array(f"weight_{i}", weight, self.real)
            yield _array(f"bias_{i}", bias, self.real)

    def _bodies(self) -> str:
        places = self._predict.places()[0]
        forward = _calls(self._predict.forward, places)
        texts = [self._body(self.functions[0], "predict", forward), self._body_of_rows()]
        if self._gradients:
            places = self._both.places()[0]
            calls = "    @forward(x, y, t);\n"
            back = "    @backward(v, y, dx, t);\n"
            texts += [
                _part("forward", "const @real *x, @real *y, @real *t", self._both.forward, places),
                _part(
                    "backward",
                    "const @real *v, const @real *y, @real *dx, @real *t",
                    self._both.backward,
                    places,
                ),
                self._body(self.functions[2], "vjp", calls + back),
                self._body(
                    self.functions[3],
                    "jacobian",
                    f"    @real *const v = t + {self._scratch['vjp']};\n    size_t i, j;\n{calls}"
                    "    for (i = 0; i < @n_outputs; i++) {\n"
                    "        for (j = 0; j < @n_outputs; j++)\n"
                    "            v[j] = (@real)(i == j);\n"
                    "        @backward(v, y, jacobian + i * @n_inputs, t);\n    }\n",
                ),
            ]
        return "\n".join(texts)

    def _body(self, function: Function, key: str, calls: str) -> str:
        if self.takes_scratch(key):
            scratch = "    @real *const t = scratch;\n"
        elif not re.search(r"\bt\b", calls):
            scratch = ""
        else:
            scratch = f"    @real t[{max(1, self._scratch[key])}];\n"
        return f"{_prototype(function, self.real)}\n{{\n{scratch}{calls}}}\n"

    def _body_of_rows(self) -> str:
        function = self.functions[1]
        more = ", scratch" if self.takes_scratch("predict") else ""
        return (
            f"{_prototype(function, self.real)}\n{{\n    size_t i;\n"
            "    for (i = 0; i < rows; i++)\n"
            f"        @predict(x + i * @n_inputs, y + i * @n_outputs{more});\n}}\n"
        )


def _name(value: Any) -> str:
    found = _check.text(value)
    if found is None or not re.fullmatch(rf"[A-Za-z][A-Za-z0-9_]{{0,{MOST_NAME - 1}}}", found):
        raise ConfigError(
            f"name: got {brief(value)}, wanted a name of C: letters, digits and underscores, the "
            f"first a letter, at most {MOST_NAME}"
        )
    if found in KEYWORDS.split():
        raise ConfigError(f"name: got {found!r}, wanted no keyword of C or C++")
    return found


def _plain(array: NDArray[Any], real: str) -> NDArray[Any]:
    """Return a copy in the type of C, denormal numbers as the zeros that the engine sees."""
    with np.errstate(over="ignore", under="ignore"):
        found: NDArray[Any] = np.array(array, "f4" if real == "float" else "f8", order="C")
    if not np.isfinite(found).all():
        raise InputError(
            f"net: got weights that are not finite in {real}, wanted finite ones; see "
            "Network.parameters"
        )
    tiny = np.finfo(np.float32 if real == "float" else np.float64).tiny
    return np.where(np.abs(found) < tiny, 0 * found, found)


def _array(name: str, array: NDArray[Any], real: str) -> str:
    numbers = [_number(value, real) for value in array.ravel().tolist()]
    per_line = 4 if real == "double" else 5
    lines = [", ".join(numbers[i : i + per_line]) for i in range(0, len(numbers), per_line)]
    kind = "double" if name in ("mean", "matrix") else "@real"
    return (
        f"static const {kind} @{name}[{' * '.join(map(str, array.shape))}] = {{\n    "
        + ",\n    ".join(lines)
        + "};\n"
    )


def _number(value: float, real: str) -> str:
    """Return a number of C, exactly."""
    if real == "float":
        value = float(np.float32(value))
    text = re.sub(r"\.?0*p", "p", value.hex()) if value else repr(value)
    return text + "f" * (real == "float")


def _prototype(function: Function, real: str) -> str:
    written = []
    for argument in function.arguments:
        if not argument.shape:
            written.append(f"size_t {argument.name}")
        else:
            const = "const " if argument.intent == "in" else ""
            written.append(f"{const}{real} *{argument.name}")
    return f"void @{function.name}({', '.join(written)})"


def _shapes(function: Function) -> str:
    shapes = {argument.name: argument.shape for argument in function.arguments}
    return ", ".join(
        name + "".join(f"[{'rows' if n is None else n}]" for n in shape)
        for name, shape in shapes.items()
        if shape
    )


def _calls(statements: Iterable[Any], places: dict[int, str]) -> str:
    return "".join(
        f"    {statement.text.format(*(places[b] for b in statement.buffers))}\n"
        for statement in statements
    )


def _part(name: str, arguments: str, statements: Iterable[Any], places: dict[int, str]) -> str:
    """Return one way of the gradients as a function."""
    calls = _calls(statements, places)
    unused = [
        word for word in re.findall(r"\*(\w+)", arguments) if not re.search(rf"\b{word}\b", calls)
    ]
    calls = "".join(f"    (void){word};\n" for word in unused) + calls
    return f"static void @{name}({arguments})\n{{\n{calls}}}\n"


def _framed(lines: Iterable[str]) -> str:
    return "/* " + "\n".join(f" * {line}".rstrip() for line in lines)[3:] + "\n */\n"


def _string(label: Any) -> str:
    """Return a label as a string of C, in UTF-8; also no trigraph is left."""
    encoded = str(label).encode("utf-8", "surrogatepass")
    if b"\0" in encoded or len(encoded) > MOST_STRING:
        raise ConfigError(
            f"classes: got {brief(label)}, wanted names of at most {MOST_STRING} bytes without a "
            "zero, which would end a string of C"
        )
    plain = {c for c in range(32, 127)} - set(b'"\\?@')
    return '"' + "".join(chr(c) if c in plain else f"\\{c:03o}" for c in encoded) + '"'


def _kept(text: str) -> str:
    """Return a text with the sign that `_named` makes an @ of."""
    return text.replace("@", "\x00")


def in_comment(text: str) -> str:
    """Return a line that ends neither a comment of C nor itself."""
    text = text.encode("unicode_escape").decode("ascii").replace("??", "?\\?")
    return text.replace("*/", "*\\/").replace("/*", "/\\*")
