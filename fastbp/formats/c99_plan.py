"""What an exported network does, statement by statement, and where its numbers are meanwhile.

Every result has a buffer of its own, that of a sum included. `Plan.places` lets buffers share
memory that are not in use at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from .._affine import Affine
from ..gates import Gated, Maxout, Residual
from ..layers import Dense, Layer

__all__ = ["Plan", "Statement"]

# A name for the loops of an activation with its parameter.
Tags = Callable[[str, float | None], str]


class Statement(NamedTuple):
    """A call; `{0}`, `{1}`, ... in its text are the buffers."""

    text: str
    buffers: tuple[int, ...]


class _Linear(NamedTuple):
    source: int
    out: int
    number: int  # of the weighted layer
    n_in: int
    n: int
    pieces: int
    tag: str
    slope: int | None


class _Gate(NamedTuple):
    source: int
    out: int
    n: int
    pieces: int
    tag: str | None  # of the factor; None for a maxout


class _Sum(NamedTuple):
    parts: tuple[int, int]
    out: int
    n: int


class Plan:
    """The statements of the way forward and, for gradients, of the way back.

    Parameters
    ----------
    layers : sequence of layers
        Of a network.
    affine : Affine or None
        What is applied to its rows first.
    n_inputs : int
        What the first layer takes.
    tag_of : callable
        (name, parameter) of an activation to the last part of the names of its loops.
    saves_slope : callable
        Whether f' of the activation of a tag is computed from z.
    gradients : bool

    Attributes
    ----------
    fixed : dict of int to str
        Names of the buffers that are arguments: x, y, v and dx.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        affine: Affine | None,
        n_inputs: int,
        tag_of: Tags,
        saves_slope: Callable[[str], bool],
        gradients: bool,
    ) -> None:
        self._sizes: list[int] = []
        self.fixed: dict[int, str] = {}
        self.forward: list[Statement] = []
        self.backward: list[Statement] = []
        self._tag_of, self._saves_slope, self._gradients = tag_of, saves_slope, gradients
        self._operations: list[_Linear | _Gate | _Sum] = []
        self._n_weighted = 0
        self._data = top = self._map(affine, n_inputs)
        for layer in layers:
            top = self._place(layer, top)
        self.fixed[top] = "y"
        if gradients:
            self._back(affine, top)

    def places(self) -> tuple[dict[int, str], int]:
        """Return the C of every buffer, and the numbers of scratch that those without a name take.

        What the way back reads of the way forward stays, so that it can be gone more than once.
        """
        statements = [*self.forward, *self.backward]
        kept = {buffer for s in self.backward for buffer in s.buffers}
        spans: dict[int, list[int]] = {}
        for at, statement in enumerate(statements):
            for buffer in statement.buffers:
                if buffer not in self.fixed:
                    begun = spans.setdefault(buffer, [at, at])
                    stays = buffer in kept and begun[0] < len(self.forward)
                    begun[1] = len(statements) if stays else at
        places, total = dict(self.fixed), 0
        taken: list[tuple[int, int, int]] = []  # first number, end, last statement
        for buffer, (first, last) in sorted(spans.items(), key=lambda item: item[1]):
            taken = sorted(use for use in taken if use[2] >= first)
            begin = 0
            for low, high, _ in taken:
                if low - begin >= self._sizes[buffer]:
                    break
                begin = max(begin, high)
            taken.append((begin, begin + self._sizes[buffer], last))
            places[buffer] = f"t + {begin}" if begin else "t"
            total = max(total, begin + self._sizes[buffer])
        return places, total

    def _buffer(self, size: int, name: str | None = None) -> int:
        self._sizes.append(size)
        if name is not None:
            self.fixed[len(self._sizes) - 1] = name
        return len(self._sizes) - 1

    def _say(self, text: str, *buffers: int) -> None:
        self.forward.append(Statement(text, buffers))

    def _say_back(self, text: str, *buffers: int) -> None:
        self.backward.append(Statement(text, buffers))

    def _map(self, affine: Affine | None, n_inputs: int) -> int:
        x = self._buffer(n_inputs, "x")
        if affine is None:
            return x
        out = self._buffer(n_inputs)
        if affine.matrix.ndim == 1:
            self._say(f"@map_columns({{0}}, {{1}}, {n_inputs});", x, out)
        else:
            self._say(f"@map_rows({{0}}, {{1}}, {affine.n_inputs}, {n_inputs});", x, out)
        return out

    def _place(self, layer: Layer, below: int) -> int:
        """Add the operations of a layer above a buffer, and return the buffer of its outputs."""
        n = layer.units
        match layer:
            case Dense():
                tag = self._tag_of(layer.activation, layer.activation_parameter)
                return self._linear(below, n, 1, tag)
            case Maxout():
                z = self._linear(below, n, layer.pieces, self._tag_of("linear", None))
                return self._gate(z, n, layer.pieces, None)
            case Gated():
                z = self._linear(below, n, 2, self._tag_of("linear", None))
                return self._gate(z, n, 2, self._tag_of(layer.gate, layer.gate_parameter))
        residual, top = cast(Residual, layer), below
        for inner in residual.layers:
            top = self._place(inner, top)
        if residual.projection is not None:
            below = self._place(residual.projection, below)
        out = self._buffer(n)
        self._say(f"@add({{0}}, {{1}}, {{2}}, {n});", below, top, out)
        self._operations.append(_Sum((below, top), out, n))
        return out

    def _linear(self, below: int, n: int, pieces: int, tag: str) -> int:
        n_in, n_out, i, slope = self._sizes[below], n * pieces, self._n_weighted, None
        self._n_weighted += 1
        out = self._buffer(n_out)
        text = f"@dense({{0}}, @weight_{i}, @bias_{i}, {{1}}, {n_in}, {n_out});"
        self._say(text, below, out)
        if self._gradients and self._saves_slope(tag):
            slope = self._buffer(n_out)
            self._say(f"@keep_{tag}({{0}}, {{1}}, {n_out});", out, slope)
        elif tag != "linear":
            self._say(f"@apply_{tag}({{0}}, {n_out});", out)
        self._operations.append(_Linear(below, out, i, n_in, n, pieces, tag, slope))
        return out

    def _gate(self, z: int, n: int, pieces: int, tag: str | None) -> int:
        out = self._buffer(n)
        call = f"@maxout({{0}}, {{1}}, {n}, {pieces});"
        if tag is not None:
            call = f"@product_{tag}({{0}}, {{1}}, {n});"
        self._say(call, z, out)
        self._operations.append(_Gate(z, out, n, pieces, tag))
        return out

    def _back(self, affine: Affine | None, top: int) -> None:
        # Of each buffer the gradients that come down to it, in the order in which they do.
        parts: dict[int, list[int]] = {top: [self._buffer(self._sizes[top], "v")]}
        for operation in reversed(self._operations):
            dy = self._sum_of(parts.pop(operation.out)[::-1], operation.out)
            match operation:
                case _Linear():
                    parts.setdefault(operation.source, []).append(self._linear_back(operation, dy))
                case _Gate():
                    parts[operation.source] = [self._gate_back(operation, dy)]
                case _Sum():
                    for part in operation.parts:
                        parts.setdefault(part, []).append(dy)
        # Those of the data the engine adds from the last layer on, all others from the first.
        dx = self._sum_of(parts[self._data], self._data)
        if affine is None:
            self.fixed[dx] = "dx"
            return
        raw = self._buffer(affine.n_inputs, "dx")
        if affine.matrix.ndim == 1:
            self._say_back(f"@map_columns_back({{0}}, {{1}}, {affine.n_inputs});", dx, raw)
        else:
            sizes = f"{affine.n_inputs}, {affine.n_outputs}"
            self._say_back(f"@map_rows_back({{0}}, {{1}}, {sizes});", dx, raw)

    def _sum_of(self, parts: list[int], of: int) -> int:
        total, *others = parts
        for part in others:
            out, n = self._buffer(self._sizes[of]), self._sizes[of]
            self._say_back(f"@add({{0}}, {{1}}, {{2}}, {n});", total, part, out)
            total = out
        return total

    def _linear_back(self, operation: _Linear, dy: int) -> int:
        n_in, n, tag, dz = operation.n_in, operation.n, operation.tag, dy
        if tag != "linear":
            dz = self._buffer(n)
            kept = operation.out if operation.slope is None else operation.slope
            call = f"back_{tag}" if operation.slope is None else "times"
            self._say_back(f"@{call}({{0}}, {{1}}, {{2}}, {n});", dy, kept, dz)
        dx = self._buffer(n_in)
        sizes = f"{n_in}, {n}, {operation.pieces}"
        self._say_back(f"@dense_back({{0}}, @weight_{operation.number}, {{1}}, {sizes});", dz, dx)
        return dx

    def _gate_back(self, operation: _Gate, dy: int) -> int:
        dz = self._buffer(operation.pieces * operation.n)
        call = f"@maxout_back({{0}}, {{1}}, {{2}}, {operation.n}, {operation.pieces});"
        if operation.tag is not None:
            call = f"@product_back_{operation.tag}({{0}}, {{1}}, {{2}}, {operation.n});"
        self._say_back(call, dy, operation.source, dz)
        return dz
