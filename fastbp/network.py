"""The network: its architecture, its parameters, and what can be asked of them without training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _check, losses
from ._affine import Affine, first_layer_inputs
from ._description import Described
from ._fold import folded
from ._given import LossFunction
from ._gradients import Differentiable
from ._layer import Layer
from ._loss import Loss
from .engine.builder import Wiring
from .engine.model import Claim
from .engine.runtime import get_num_threads
from .errors import InputError
from .layers import network_layers
from .trace import trace_example

__all__ = ["Network"]


class Network(Described, Differentiable):
    """A multi-layer perceptron.

    Parameters
    ----------
    n_inputs : int
        Number of features.
    layers : sequence of Dense, Maxout, Gated and Residual
        From the first hidden layer to the output layer; copied.
    dtype : {"float32", "float64"}
        Of the parameters and of all arithmetic.
    seed : int, optional
        Of the initial weights (`numpy.random.PCG64`). Default: fresh entropy.
    preprocessing : Affine, optional
        A fitted map of `fastbp.preprocess`: wherever the network is given rows, it applies this
        to them first. Then `n_inputs` is what the map takes, and the first layer takes what it
        gives.

    Attributes
    ----------
    layers : tuple of layers
        The network's own; of a `Dense`, ``layers[i].weight`` is [n_in, n_out] and
        ``layers[i].bias`` is [n_out], both readable and writable.
    weighted_layers : tuple of Dense, Maxout and Gated
        Those that have a weight and a bias, in order; where `layers` holds a `Residual`, the
        ones within, its projection last.
    metadata : dict of str to str
        Notes of the user, saved and loaded with the network.

    Raises
    ------
    ConfigError
        An option is out of its range.
    MemoryError
        The parameters do not fit.

    Examples
    --------
    >>> import fastbp as fb
    >>> net = fb.Network(4, [fb.Dense(8, "tanh"), fb.Dense(3, "softmax")], seed=0)
    >>> net.predict([[5.1, 3.5, 1.4, 0.2]]).shape
    (1, 3)
    """

    def __init__(
        self,
        n_inputs: int,
        layers: Sequence[Layer],
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        preprocessing: Affine | None = None,
    ) -> None:
        n_inputs = _check.positive_int(n_inputs, "n_inputs")
        rng = np.random.Generator(np.random.PCG64(_check.seed(seed)))
        width = first_layer_inputs(n_inputs, preprocessing)
        self._build(width, network_layers(layers), _check.floating_dtype(dtype))
        self.preprocessing = preprocessing
        for layer in self.weighted_layers:
            layer._initialize(rng)

    @classmethod
    def _unset(cls, n_inputs: int, layers: Sequence[Layer], dtype: np.dtype) -> Network:
        """Return a network with all parameters zero, for its caller to set."""
        network = object.__new__(cls)
        network._build(n_inputs, layers, dtype)
        return network

    def _build(self, n_inputs: int, layers: Sequence[Layer], dtype: np.dtype) -> None:
        wiring, top = Wiring(n_inputs, dtype), -1
        placed: list[Layer] = []
        for layer in layers:
            bound, top = layer._place(wiring, top)
            bound._call(f"layers[{len(placed)}]")
            placed.append(bound)
            wiring.tops.append(top)
        # Beyond any memory, and near where the engine's byte counts would wrap around.
        weights = wiring.n_weights()
        if weights >= 2**40:
            raise MemoryError(f"network: got {weights} weights, wanted fewer than {2**40}")
        self._n_inputs, self._n_outputs, self._dtype = n_inputs, layers[-1].units, dtype
        self._model = wiring.model()
        self.layers = tuple(placed)
        self.weighted_layers = tuple(inner for layer in placed for inner in layer._weighted())
        for inner in self.weighted_layers:
            inner._model = self._model
        self.metadata = {}
        self._ahead: Affine | None = None

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """Return the outputs [n, n_outputs] for the rows of `x` [n, n_inputs].

        Any number of threads may call this at once. A row's result does not depend on the
        rows around it.

        Raises
        ------
        InputError, ShapeError, DTypeError
            `x` is not a finite [n, n_inputs] array of numbers.
        """
        if self._ahead is not None:
            x = self._ahead._transform(x, self._dtype, "x")
        # The engine looks at the values while it reads them: 5% faster at 784-128-10, 10,000 rows.
        x = _check.inputs(x, self._n_inputs, self._dtype, values=False)
        outputs = self._model.predict(x, get_num_threads())
        if outputs is None:
            raise InputError(_check.not_finite(x, "x"))
        return outputs

    def activations(self, x: ArrayLike) -> list[NDArray[Any]]:
        """Return every layer's outputs [n, units], first hidden layer first; see `predict`."""
        if self._ahead is not None:
            x = self._ahead._transform(x, self._dtype, "x")
        x = _check.inputs(x, self._n_inputs, self._dtype)
        return self._model.activations(x, get_num_threads())

    def fold(self) -> Network:
        """Return a copy without `preprocessing` that takes the same raw rows.

        The map is in its first layer: with W and b the weight and bias, W' = M W and
        b' = b - mean M W, computed in float64. Of a `Residual` it is in the first layer within and
        in the projection; where the sum is of x' itself, that becomes the projection of x.

        Raises
        ------
        ConfigError
            The first layer is a `Residual` of as many units as a raw row has columns.
        """
        return folded(self)

    trace = trace_example

    def copy(self, dtype: DTypeLike | None = None) -> Network:
        """Return an independent network with the same parameters, in `dtype` if given."""
        wanted = self._dtype if dtype is None else _check.floating_dtype(dtype)
        twin = self._unset(self._n_inputs, self.layers, wanted)
        twin.metadata, twin._ahead = dict(self.metadata), self._ahead
        for mine, other in zip(self.weighted_layers, twin.weighted_layers, strict=True):
            other.weight[...] = mine.weight
            other.bias[...] = mine.bias
        return twin

    def _loss(self, loss: str | Loss | LossFunction) -> Loss:
        return losses.resolve(loss, self.layers[-1].activation, self._n_outputs)

    def _examples(
        self, x: ArrayLike, y: ArrayLike, loss: Loss, names: tuple[str, str] = ("x", "y")
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return `x` and `y` in the form the engine takes."""
        if self._ahead is not None:
            x = self._ahead._transform(x, self._dtype, names[0])
        x = _check.inputs(x, self._n_inputs, self._dtype, names[0])
        y = _check.targets(y, x.shape[0], self._n_outputs, self._dtype, loss.targets, names[1])
        return x, y

    def _claim(self) -> Claim:
        """Return the right to write the parameters, as a context manager.

        The engine guards single calls, this guards a whole fit.
        """
        return self._model.claim()
