"""The network: its architecture and parameters, and everything that needs no training.

To and from a file, and a pickle, it goes as its architecture, a dict that JSON can hold, and its
tensors by name.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, cast, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _check, _frames, _labels
from ._affine import Affine, MappedRows, attached, first_layer_inputs, fold, folding_error
from ._check import Weights
from ._parameters import FlatParameters
from .engine.arrays import small_examples
from .engine.averaging import lerp
from .engine.derivative import jacobian, jvp, vjp
from .engine.model import Claim
from .engine.rows import Rows
from .engine.run import gradients
from .engine.runtime import get_num_threads
from .errors import ConfigError, CorruptModelError, InputError, brief
from .formats import atomicfile, modelfile
from .layers import Layer, build, network_layers, parameter_shapes, weighted_layers
from .losses import Loss, LossFunction, resolve
from .trace import Trace, Tracer, one_example

__all__ = ["Names", "Network", "load", "network_of"]

Gradients = list[tuple[NDArray[Any], NDArray[Any]]]


class Names(NamedTuple):
    """What the columns of x and the classes of y are called; None as long as it is not known."""

    columns: _frames.Columns = None
    classes: _labels.Classes | None = None


class Network:
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
    keep_weights : bool
        Whether layers that are part of a network, such as ``old.layers[:2]``, come with copies of
        their weights. By default all weights are drawn anew, also of such layers.

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
    ShapeError
        With `keep_weights`, a weight does not fit where its layer is now.
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
        keep_weights: bool = False,
    ) -> None:
        n_inputs = _check.positive_int(n_inputs, "n_inputs")
        rng = np.random.Generator(np.random.PCG64(_check.seed(seed)))
        width = first_layer_inputs(n_inputs, preprocessing)
        self._build(width, network_layers(layers), _check.floating_dtype(dtype))
        self.preprocessing = preprocessing
        for layer in self.weighted_layers:
            layer._initialize(rng)
        if _check.flag(keep_weights, "keep_weights"):
            for mine, old in zip(self.layers, layers, strict=True):
                mine._keep(old)

    @classmethod
    def _unset(cls, n_inputs: int, layers: Sequence[Layer], dtype: np.dtype[Any]) -> Network:
        """Return a network with all parameters zero, for its caller to set."""
        network = object.__new__(cls)
        network._build(n_inputs, layers, dtype)
        return network

    def _build(self, n_inputs: int, layers: Sequence[Layer], dtype: np.dtype[Any]) -> None:
        self._model, self.layers = build(n_inputs, layers, dtype)
        self.weighted_layers = weighted_layers(self.layers)
        self._n_inputs, self._n_outputs, self._dtype = n_inputs, layers[-1].units, dtype
        self._activation = self.layers[-1].activation
        self.metadata: dict[str, str] = {}
        self._preprocessing: Affine | None = None
        self._names = Names()

    @property
    def n_inputs(self) -> int:
        """Number of features of a row: of what `preprocessing` takes, if there is one."""
        return self._n_inputs if self._preprocessing is None else self._preprocessing.n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return self._n_outputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the parameters and of all arithmetic."""
        return self._dtype

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum(layer.weight.size + layer.bias.size for layer in self.weighted_layers)

    @property
    def parameters(self) -> NDArray[Any]:
        """All parameters in one array [n_parameters], a copy; assigning copies the values in.

        In the order of `weighted_layers`: of each the weight, row after row, then the bias.

        Raises
        ------
        InputError, ShapeError, DTypeError
            The value that is assigned is not a finite [n_parameters] array of numbers; nothing has
            changed.
        BusyError
            One is assigned while a call of another thread is training the network.
        """
        return np.concatenate([array.ravel() for array in self._arrays()])

    @parameters.setter
    def parameters(self, value: ArrayLike) -> None:
        flat = _check.parameter(value, (self.n_parameters,), self._dtype, "parameters")
        flat = self._model.apart(flat)
        begin = 0
        with self._model.quiet(writes=True):
            before = self._model.arena.copy()
            try:
                for array in self._arrays():
                    array[...] = flat[begin : begin + array.size].reshape(array.shape)
                    begin += array.size
            except BaseException:
                self._model.arena[...] = before
                raise

    def _arrays(self) -> list[NDArray[Any]]:
        """Return views of all weights and biases, in the order of `parameters`."""
        return [array for layer in self.weighted_layers for array in (layer.weight, layer.bias)]

    @property
    def flat_parameters(self) -> FlatParameters:
        """Views of all weights and biases in the engine's memory, with their names and offsets."""
        return FlatParameters(self._model, self.weighted_layers)

    def lerp(self, other: Network, tau: float) -> None:
        """Move all parameters towards those of another network: ``(1 - tau) * own + tau * other``.

        For target networks, which follow a network in training, and averages of weights. Frozen
        layers move too. In the network's dtype: both products and the sum are rounded, so that
        tau = 0 changes nothing and tau = 1 copies.

        Parameters
        ----------
        other : Network
            Of the same inputs, layers and dtype; whether and how its layers are trained does not
            matter.
        tau : float
            In [0, 1].

        Raises
        ------
        ConfigError
            `other` is no such network, or `tau` is out of its range.
        BusyError
            A call of another thread is training one of the two.
        """
        if not isinstance(other, Network) or self._form() != other._form():
            raise ConfigError(f"other: got {brief(other)}, wanted a network like {self!r}")
        tau = _check.number(tau, "tau")
        if tau > 1:
            raise ConfigError(f"tau: got {brief(tau)}, wanted a number in [0, 1]")
        with self._model.quiet(writes=True), other._model.quiet():
            lerp(self._model, other._model, tau)

    def _form(self) -> tuple[Any, ...]:
        """Return what two networks must have in common for `lerp`."""
        layers = [modelfile.description(layer, groups=False) for layer in self.layers]
        return self._n_inputs, self._dtype, layers

    @property
    def classes(self) -> NDArray[Any] | None:
        """The labels of the classes in the order of the outputs; of one output, of 0 and then 1.

        Training names them by the first labels that are not the plain integers 0..n_outputs - 1:
        sorted, or those of a categorical in its own order. None before, and where labels are these
        integers. Strings are objects in the array.

        They may be assigned before training, for labels that do not all occur in the first call,
        or in another order; while a call trains the network, that is a BusyError. None forgets
        them.

        Raises
        ------
        ConfigError
            The value is not as many different labels of one kind.
        """
        classes = self._names.classes
        return None if classes is None or not classes.labels else classes.array

    @classes.setter
    def classes(self, value: ArrayLike | None) -> None:
        classes = _labels.classes_of(value, self._n_outputs)
        with self._model.claim():
            self._names = self._names._replace(classes=classes)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns of x, if the network was trained on a data frame, else None.

        A frame's columns are taken by these names, in whatever order they are; an array's as they
        lie. Names may be assigned, None forgets them; while a call trains the network, that is a
        BusyError.

        Raises
        ------
        ConfigError
            The value is not `n_inputs` different strings.
        """
        return self._names.columns

    @columns.setter
    def columns(self, value: Sequence[str] | None) -> None:
        columns = _frames.column_names(value, self.n_inputs)
        with self._model.claim():
            self._names = self._names._replace(columns=columns)

    @property
    def preprocessing(self) -> Affine | None:
        """The map that is applied to all rows first, or None; assigning takes a copy.

        While a call trains the network, whose rows are mapped already, assigning is a BusyError.
        """
        return self._preprocessing

    @preprocessing.setter
    def preprocessing(self, value: Affine | None) -> None:
        with self._model.claim():
            self._preprocessing = attached(value, self._n_inputs)
            self._model.revise()
            columns, known = None if value is None else value.columns, self._names.columns
            if known is None or columns is not None or len(known) != self.n_inputs:
                self._names = self._names._replace(columns=columns)

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """Return the outputs [n, n_outputs] for the rows of `x` [n, n_inputs].

        Any number of threads may call this at once. A row's result does not depend on the
        rows around it.

        Raises
        ------
        InputError, ShapeError, DTypeError
            `x` is not a finite [n, n_inputs] array of numbers.
        """
        mapped = None if self._preprocessing is None else self._mapped(x)
        if mapped is not None:
            return _joined(mapped, lambda rows: [self._model.predict(rows, get_num_threads())])[0]
        # The engine looks at the values while it reads them: 5% faster at 784-128-10, 10,000 rows.
        rows = self._rows(x, values=False)
        outputs = self._model.predict(rows, get_num_threads())
        if outputs is None:
            raise InputError(_check.not_finite_row(rows, self._dtype, "x"))
        return outputs

    def predict_classes(self, x: ArrayLike) -> NDArray[Any]:
        """Return the class [n] of each row of `x`, as a label of `classes`, else its number.

        That is the class of the largest output, the first of several. One output gives the second
        of two classes where it is above 0.5 for a sigmoid or step output, above 0 for others.

        Raises
        ------
        ConfigError
            It has one output that is neither sigmoid nor step, and no `classes`.
        InputError, ShapeError, DTypeError
            As for `predict`.
        """
        labels, activation = self.classes, self._activation
        if labels is None and self._n_outputs == 1 and activation not in ("sigmoid", "step"):
            raise ConfigError(
                f"network: got one {activation} output without classes, wanted one that was "
                "trained on labels, or net.classes = [first, second]; predict returns its numbers"
            )
        outputs = self.predict(x)
        codes: NDArray[Any]
        if self._n_outputs > 1:
            codes = outputs.argmax(axis=1)
        else:
            codes = (outputs[:, 0] > _labels.threshold_of(activation)).astype(np.int64)
        return codes if labels is None else labels[codes]

    def activations(self, x: ArrayLike) -> list[NDArray[Any]]:
        """Return every layer's outputs [n, units], first hidden layer first; see `predict`."""
        mapped = self._mapped(x)
        if mapped is not None:
            return _joined(mapped, lambda rows: self._model.activations(rows, get_num_threads()))
        return self._model.activations(self._rows(x), get_num_threads())

    @overload
    def gradients(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: str | Loss | LossFunction,
        inputs: Literal[False] = False,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, Gradients]: ...
    @overload
    def gradients(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: str | Loss | LossFunction,
        inputs: Literal[True],
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, Gradients, NDArray[Any]]: ...
    def gradients(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: str | Loss | LossFunction,
        inputs: bool = False,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, Gradients] | tuple[float, Gradients, NDArray[Any]]:
        """Return the mean loss and its gradients, by backpropagation.

        Parameters
        ----------
        x : array_like
            Rows [n, n_inputs].
        y : array_like
            Targets [n, n_outputs], or labels [n]: see `Trainer.fit`.
        loss : str, Loss or callable
            A name, a loss with options, or a function of your own: see `fastbp.losses`.
        inputs : bool
            Also return the gradient with respect to `x`.
        sample_weight : array_like, optional
            [n], >= 0, not all 0: the loss is the weighted mean,
            ``sum(sample_weight * row losses) / sum(sample_weight)``. Rows of weight 0 may have any
            targets, NaN or the label -1 among them, and have the gradient 0 with respect to `x`.

        Returns
        -------
        loss : float
            Mean over the rows, weighted if so asked, without any penalty.
        gradients : list of (ndarray, ndarray)
            One pair (dW, db) per entry of `weighted_layers`, of the shapes of its weight and bias.
        dx : ndarray
            [n, n_inputs]; only with ``inputs=True``.

        Raises
        ------
        InputError, LabelError, ShapeError, DTypeError, ConfigError
            `x`, `y` or `loss` cannot be used.
        """
        resolved = self._loss(loss)
        rows, y, weights = self._weighted_examples(x, y, resolved, sample_weight)
        inputs = _check.flag(inputs, "inputs")
        value, held, dx = resolved._gradients(
            self._model, rows, y, weights, get_num_threads(), inputs
        )
        pairs = [layer._views(held) for layer in self.weighted_layers]
        return (value, pairs) if dx is None else (value, pairs, self._by_raw_rows(dx))

    @overload
    def gradients_from(
        self, x: ArrayLike, dL_dy: ArrayLike, inputs: Literal[False] = False
    ) -> Gradients: ...
    @overload
    def gradients_from(
        self, x: ArrayLike, dL_dy: ArrayLike, inputs: Literal[True]
    ) -> tuple[Gradients, NDArray[Any]]: ...
    def gradients_from(
        self, x: ArrayLike, dL_dy: ArrayLike, inputs: bool = False
    ) -> Gradients | tuple[Gradients, NDArray[Any]]:
        """Return the gradients of an L of your own, from its derivative by the outputs.

        For an L that is no mean over rows with targets: the value that a critic gives to an actor's
        actions, a term of an adjoint equation, or what another library computes from the outputs.
        `Trainer.apply_gradients` makes a step of them.

        With y = ``net.predict(x)`` and L any function of all of y, ``dL/dW = sum over rows b and
        outputs j of dL_dy[b, j] * dy[b, j]/dW``: a sum over the rows, without a division by their
        number. y is what `predict` returns, of a softmax or a sigmoid the probabilities, not the
        logits.

        Parameters
        ----------
        x : array_like
            Rows [n, n_inputs].
        dL_dy : array_like
            [n, n_outputs].
        inputs : bool
            Also return the gradient with respect to `x`.

        Returns
        -------
        gradients : list of (ndarray, ndarray)
            One pair (dW, db) per entry of `weighted_layers`, of the shapes of its weight and bias.
        dx : ndarray
            [n, n_inputs]; only with ``inputs=True``.

        Raises
        ------
        InputError, ShapeError, DTypeError, ConfigError
            An argument cannot be used.
        """
        rows = self._rows(x)
        dy = self._vectors(dL_dy, len(rows), self._n_outputs, "dL_dy")
        inputs = _check.flag(inputs, "inputs")
        found = gradients(self._model, "custom", rows, dy, get_num_threads(), inputs, average="sum")
        assert found is not None  # there are no labels
        _, held, dx = found
        pairs = [layer._views(held) for layer in self.weighted_layers]
        return pairs if dx is None else (pairs, self._by_raw_rows(dx))

    def jacobian(self, x: ArrayLike) -> NDArray[Any]:
        """Return the derivatives of each row's outputs by its inputs, [n, n_outputs, n_inputs].

        ``J[b, j, i] = dy[b, j] / dx[b, i]`` with y = ``net.predict(x)``: x are the rows as they are
        given, before a `preprocessing`, and y is what `predict` returns, of a softmax or a sigmoid
        the probabilities, not the logits. At a kink J is one of its two sides' derivatives, that of
        a ReLU at 0 is 0, and in a maximum the first of the largest pieces counts; sign and step
        have the derivative 0.

        A row's result does not depend on the rows around it, and has the bits of an export to C.
        Any number of threads may call this at once. `vjp` and `jvp` multiply by J without making
        it.

        Raises
        ------
        InputError, ShapeError, DTypeError
            `x` is not a finite [n, n_inputs] array of numbers.
        """
        found = jacobian(self._model, self._rows(x), get_num_threads())
        if self._preprocessing is None:
            return found
        n, n_outputs, width = found.shape
        return self._by_raw_rows(found.reshape(-1, width)).reshape(n, n_outputs, -1)

    def vjp(self, x: ArrayLike, v: ArrayLike) -> NDArray[Any]:
        """Return the product of a vector with the Jacobian of each row, ``dx[b] = v[b] @ J[b]``.

        That is dL/dx [n, n_inputs] of any L with ``v = dL/dy``, by one pass back; see `jacobian`
        for what J is. `gradients_from` gives dL/dW too, and of one row the same bits.

        Parameters
        ----------
        x : array_like
            Rows [n, n_inputs].
        v : array_like
            [n, n_outputs].

        Raises
        ------
        InputError, ShapeError, DTypeError
            An argument is not a finite array of numbers of that shape.
        """
        rows = self._rows(x)
        v = self._vectors(v, len(rows), self._n_outputs, "v")
        return self._by_raw_rows(vjp(self._model, rows, v, get_num_threads()))

    def jvp(self, x: ArrayLike, u: ArrayLike) -> NDArray[Any]:
        """Return the product of the Jacobian of each row with a vector, ``dy[b] = J[b] @ u[b]``.

        That is how fast the outputs [n, n_outputs] change when x moves along u, by one pass
        forward; see `jacobian` for what J is.

        Parameters
        ----------
        x, u : array_like
            [n, n_inputs].

        Raises
        ------
        InputError, ShapeError, DTypeError
            An argument is not a finite array of numbers of that shape.
        """
        rows, affine = self._rows(x), self._preprocessing
        if affine is None:
            u = self._vectors(u, len(rows), self._n_inputs, "u")
        else:
            u = _check.parameter(u, (len(rows), self.n_inputs), np.dtype(np.float64), "u")
            u = affine._pushed_forward(u).astype(self._dtype)
        return jvp(self._model, rows, u, get_num_threads())

    def _vectors(self, value: ArrayLike, n: int, columns: int, name: str) -> NDArray[Any]:
        """Return a vector for each of n rows as the engine takes them."""
        return _check.parameter(value, (n, columns), self._dtype, name)

    def trace(self, x: ArrayLike, y: ArrayLike, loss: str) -> Trace:
        """Return one example's way forward and back: every u, y, delta, dW and db.

        The numbers are those of `gradients` and `activations` to the last bit; for one example
        dL/db is the delta itself.

        Parameters
        ----------
        x : array_like
            The example, [n_inputs] or [1, n_inputs].
        y : array_like
            Its target, [n_outputs] or [1, n_outputs], or its label.
        loss : str
            As for `gradients`.

        Returns
        -------
        Trace
            ``print`` shows it as a table, ``trace.layers[i].delta`` and so on are arrays.

        Raises
        ------
        ShapeError
            `x` or `y` is not one example.
        InputError, LabelError, DTypeError, ConfigError
            `x`, `y` or `loss` cannot be used.
        """
        x = one_example(self._by_name(x, "x"), self.n_inputs, "x")
        y = one_example(y, self._n_outputs, "y")
        resolved = self._loss(loss)
        given, targets, _ = self._weighted_examples(x, y, resolved, None)
        rows = given.converted(self._dtype) if isinstance(given, Rows) else given
        found = Tracer(self._model, self.layers, rows, targets, resolved)
        target = targets[0] if targets.ndim == 2 else np.eye(self._n_outputs)[targets[0]]
        example, dx = x[0].astype(self._dtype), self._by_raw_rows(found.dx)[0]
        target = target.astype(self._dtype)
        return Trace(_check.text(loss) or str(loss), found.loss, example, target, found.layers, dx)

    def fold(self) -> Network:
        """Return a copy without `preprocessing` that takes the same raw rows.

        The map is in its first layer: with W and b the weight and bias, W' = M W and
        b' = b - mean M W, computed in float64. Of a `Residual` it is in the first layer within and
        in the projection; where the sum is of x' itself, that becomes the projection of x. A
        column that was constant in the rows of the map's fit gets the weight 0.

        In raw rows a mean much larger than the deviation takes up digits. Where rounding could
        take more than the root of the dtype's eps from a net input (0.03% in float32), the copy
        keeps its `preprocessing`, and a RuntimeWarning says so.

        Raises
        ------
        ConfigError
            The first layer is a `Residual` of as many units as a raw row has columns.
        BusyError
            A call of another thread is training the network.
        """
        affine = self._preprocessing
        if affine is None:
            return self.copy()
        lost = folding_error(affine, self.layers, self._dtype)
        most = float(np.sqrt(np.finfo(self._dtype).eps))
        if not lost <= most:
            warnings.warn(
                f"fold: the copy keeps its preprocessing, and predicts the same; in {self._dtype} "
                f"a folded layer could lose {lost:.2g} of a net input to rounding, more than "
                f"{most:.2g}, as columns of x have means much larger than their deviations",
                RuntimeWarning,
                stacklevel=2,
            )
            return self.copy()
        twin = self._unset(affine.n_inputs, self.layers, self._dtype)
        with self._model.quiet():
            twin.metadata, twin._names = self._notes(), self._names
            fold(affine, self.layers, twin.layers)
        return twin

    def copy(self, dtype: DTypeLike | None = None) -> Network:
        """Return an independent network with the same parameters, in `dtype` if given.

        Raises
        ------
        BusyError
            A call of another thread is training the network.
        """
        wanted = self._dtype if dtype is None else _check.floating_dtype(dtype)
        twin = self._unset(self._n_inputs, self.layers, wanted)
        with self._model.quiet():
            twin.metadata, twin._preprocessing = self._notes(), self._preprocessing
            twin._names = self._names
            for mine, other in zip(self.weighted_layers, twin.weighted_layers, strict=True):
                other.weight[...] = mine.weight
                other.bias[...] = mine.bias
        return twin

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a safetensors file; `fastbp.load` reads it back, bit for bit.

        A file already there stays whole until the new one is: the write is atomic.

        Raises
        ------
        ConfigError
            `metadata` holds something else than strings.
        OSError
            The folder does not exist, is not writable or is full.
        BusyError
            A call of another thread is training the network.
        """
        modelfile.write(path, *self._packed())

    def to_onnx(self, path: str | os.PathLike[str], input_dtype: DTypeLike | None = None) -> None:
        """Write the network to an ONNX file, which onnxruntime and other programs run.

        The file takes "x" [rows, n_inputs], with `preprocessing` within, and gives "y", what
        `predict` gives. If the network knows its `classes`, "label" is the label of each row.
        Columns, classes and `metadata` are in the file's metadata, as JSON. The write is atomic.

        Parameters
        ----------
        path : path-like
        input_dtype : {"float32", "float64"}, optional
            Of "x". Default: the network's dtype; with a `preprocessing` float64, as float32 has
            too few digits for columns such as Unix times.

        Raises
        ------
        ConfigError
            `metadata` holds something else than strings, or the parameters take more than 2 GiB.
        ConversionError
            The classes are integers beyond int64.
        MissingDependencyError
            The library onnx is not installed.
        OSError
            As of `save`.
        BusyError
            A call of another thread is training the network.
        """
        wanted = None
        if input_dtype is not None:
            wanted = _check.floating_dtype(input_dtype, "input_dtype")
        path = _check.path(path)
        from .formats.onnx import writing

        with self._model.quiet():
            content = writing.content(self, self._notes(), wanted)
        atomicfile.write(path, content)

    def to_torch(self) -> Any:
        """Return a ``torch.nn.Sequential`` with copies of the weights that predicts the same.

        A `preprocessing` is its first module, of float64 arithmetic; gates are small modules of
        `fastbp.formats.torch`. It is in evaluation mode: ``.train()`` switches dropout on. Layers
        that are not `trainable` have no ``requires_grad``.

        Raises
        ------
        MissingDependencyError
            PyTorch is not installed.
        BusyError
            A call of another thread is training the network.
        """
        from .formats import torch

        with self._model.quiet():
            return torch.to_module(self)

    def to_sklearn(self) -> Any:
        """Return a fitted estimator of scikit-learn, with copies of the weights.

        That is an ``MLPRegressor`` if the last layer is linear, else an ``MLPClassifier``, whose
        classes are sorted as scikit-learn wants them; behind a `preprocessing` a ``Pipeline``.
        Both go on training with ``partial_fit``.

        Raises
        ------
        ConversionError
            scikit-learn has no such network: it has gates, hidden layers of different activations
            or of others than linear, sigmoid, tanh and relu, or other outputs than linear, sigmoid
            and softmax.
        MissingDependencyError
            scikit-learn is not installed.
        BusyError
            A call of another thread is training the network.
        """
        from .formats import sklearn

        with self._model.quiet():
            return sklearn.to_estimator(self)

    def summary(self) -> str:
        """Return a table of the layers, their shapes and their numbers of parameters."""
        lines = [f"{'layer':<7}{'shape':<15}{'activation':<12}{'parameters':>10}"]
        if self._preprocessing is not None:
            name = f"{self._preprocessing.n_inputs} to {self._preprocessing.n_outputs}"
            lines.append(f"{'input':<7}{name:<15}{'affine map':<22}")
        for i, layer in enumerate(self.weighted_layers):
            shape, count = layer.weight.shape, layer.weight.size + layer.bias.size
            name = " x ".join(map(str, shape))
            options = layer._options().replace(", ", "  ")
            lines.append(f"{i:<7}{name:<15}{layer.kind:<12}{count:>10,}{options}")
        lines.append(f"{self._dtype.name:<34}{self.n_parameters:>10,}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Return the architecture, as given."""
        affine = self._preprocessing
        option = "" if affine is None else f", preprocessing={affine}"
        return f"Network({self.n_inputs}, {list(self.layers)}, dtype={self._dtype.name!r}{option})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as description and tensors, for copies and worker processes."""
        return _rebuilt, self._packed()

    def _packed(self) -> tuple[dict[str, Any], modelfile.Tensors]:
        """Return architecture and tensors of one moment, for a file or a pickle."""
        with self._model.quiet():
            return self._architecture(), self._tensors()

    def _architecture(self) -> dict[str, Any]:
        """Return what `_rebuilt` needs besides the tensors, as JSON can hold it."""
        described = {
            "n_inputs": self._n_inputs,
            "layers": [modelfile.description(layer) for layer in self.layers],
            "dtype": self.dtype.name,
            "metadata": self._notes(),
        }
        if self._names.columns is not None:
            described["columns"] = list(self._names.columns)
        if self._names.classes is not None:
            described["classes"] = list(self._names.classes.labels)
        if self._preprocessing is not None:
            described["preprocessing"] = list(self._preprocessing.matrix.shape)
        return described

    def _notes(self) -> dict[str, str]:
        """Return a copy of `metadata`, which the user may have set to anything."""
        notes = self.metadata
        if isinstance(notes, dict):
            notes = dict(notes)  # at once: another thread may add to it
        if not isinstance(notes, dict) or not all(
            isinstance(text, str) for item in notes.items() for text in item
        ):
            raise ConfigError(f"metadata: got {brief(notes)}, wanted a dict of strings by strings")
        return notes

    def _tensors(self) -> modelfile.Tensors:
        """Return copies of the parameters: ``layers.<i>.weight`` and ``layers.<i>.bias``.

        i counts those layers that have them, as `Network.weighted_layers` does.

        Of a preprocessing also ``preprocessing.mean`` and ``preprocessing.matrix``, in float64, and
        ``preprocessing.image`` if it was fitted: mean and deviation of the mapped columns.
        """
        found = {
            f"layers.{i}.{name}": np.array(getattr(layer, name), order="C")
            for i, layer in enumerate(self.weighted_layers)
            for name in ("weight", "bias")
        }
        affine = self._preprocessing
        if affine is not None:
            found |= {"preprocessing.mean": affine.mean, "preprocessing.matrix": affine.matrix}
            if affine._image is not None:
                found["preprocessing.image"] = affine._image
        return found

    def _loss(self, loss: str | Loss | LossFunction) -> Loss:
        return resolve(loss, self._activation, self._n_outputs)

    def _weighted_examples(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: Loss,
        sample_weight: ArrayLike | None,
    ) -> tuple[_check.AnyRows, NDArray[Any], Weights]:
        """Return rows, targets and the rows' weights in the form the engine takes."""
        small = self._small_examples(x, y, loss, self._names) if sample_weight is None else None
        if small is not None:
            return *small, None
        rows = self._rows(x)
        return rows, *self._weighted_targets(y, len(rows), loss, sample_weight)

    def _small_examples(
        self, x: Any, y: Any, loss: Loss, names: Names
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return few rows and their targets if they come as the engine takes them, else None."""
        if self._preprocessing is not None:
            return None
        classes, domain = names.classes, loss.targets
        labels = classes is not None and classes.counted and domain not in _check.WITHOUT_CLASSES
        return small_examples(
            x,
            y,
            self._dtype,
            self._n_inputs,
            self._n_outputs,
            domain,
            labels and self._n_outputs > 1,
        )

    def _weighted_targets(
        self, y: ArrayLike, n_rows: int, loss: Loss, sample_weight: ArrayLike | None
    ) -> tuple[NDArray[Any], Weights]:
        weights = None
        if sample_weight is not None:
            weights = _check.weights(sample_weight, n_rows, self._dtype, "sample_weight")
        return self._targets(y, n_rows, loss, weights), weights

    def _targets(self, y: ArrayLike, rows: int, loss: Loss, weights: Weights) -> NDArray[Any]:
        return self._encoded(y, rows, loss, "y", self._names, weights)[0]

    def _named_examples(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: Loss,
        sample_weight: ArrayLike | None,
        whole: bool,
        prefix: str = "",
        names: Names | None = None,
    ) -> tuple[_check.AnyRows, NDArray[Any], Weights, Names]:
        """Return what `_weighted_examples` does, and the names that hold once they are trained on.

        `names` are to hold, or the network's own; `prefix` stands before the arguments in errors;
        for `whole` see `_check.weights`.
        """
        names = names or self._names
        if type(x) is not np.ndarray and _frames.is_frame(x):
            x, columns = _frames.by_name(x, names.columns, f"{prefix}x")
            names = names._replace(columns=columns or names.columns)
        rows, weights = self._rows(x, prefix + "x"), None
        if sample_weight is not None:
            name = prefix + "sample_weight"
            weights = _check.weights(sample_weight, len(rows), self._dtype, name, whole)
        targets, classes = self._encoded(y, len(rows), loss, prefix + "y", names, weights)
        if classes is not names.classes:
            names = names._replace(classes=classes)
        return rows, targets, weights, names

    def _encoded(
        self,
        y: ArrayLike,
        rows: int,
        loss: Loss,
        name: str,
        names: Names,
        weights: Weights,
    ) -> tuple[NDArray[Any], _labels.Classes | None]:
        activation, classes = self._activation, names.classes
        return _labels.encoded(
            y, rows, self._n_outputs, self._dtype, loss.targets, activation, classes, name, weights
        )

    def _by_name(self, x: ArrayLike, name: str) -> ArrayLike:
        """Return a frame as an array of its columns in the network's order; others as they are."""
        if not _frames.is_frame(x):
            return x
        return _frames.by_name(x, self._names.columns, name)[0]

    def _mapped(self, x: ArrayLike, name: str = "x") -> MappedRows | None:
        """Return rows to be mapped block by block, if the engine cannot map them as it reads."""
        affine = self._preprocessing
        if affine is None or affine._diagonal() is not None:
            return None
        return MappedRows(affine, self._by_name(x, name), self._dtype, name)

    def _rows(self, x: ArrayLike, name: str = "x", values: bool = True) -> _check.AnyRows:
        """Return `x` as the engine reads it; with `values`, finite there."""
        if type(x) is not np.ndarray:
            x = self._by_name(x, name)
        affine = self._preprocessing
        if affine is not None:
            diagonal = affine._diagonal()
            if diagonal is not None:
                return _check.mapped_rows(x, diagonal, self._dtype, name, values)
            x = affine._transform(x, self._dtype, name)
        return _check.rows(x, self._n_inputs, self._dtype, name, values)

    def _by_raw_rows(self, dx: NDArray[Any]) -> NDArray[Any]:
        """Return the gradient by the rows as given from that by what the first layer takes."""
        return dx if self._preprocessing is None else self._preprocessing._pulled_back(dx)

    def _claim(self) -> Claim:
        """Return the right to write the parameters, as a context manager.

        The engine guards single calls, this guards a whole fit.
        """
        return self._model.claim()


def _joined(
    mapped: MappedRows, call: Callable[[NDArray[Any]], Sequence[NDArray[Any] | None]]
) -> list[NDArray[Any]]:
    """Return what `call` returns for all rows, from what it returns for each block."""
    whole: list[NDArray[Any]] = []
    for part, rows in mapped.blocks():
        found = cast(Sequence[NDArray[Any]], call(rows))
        if not whole:
            whole = [np.empty((len(mapped), a.shape[1]), a.dtype) for a in found]
        for out, array in zip(whole, found, strict=True):
            out[part] = array
    return whole


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network that `Network.save`, or `Trainer.save` with the rest, wrote to `path`.

    Raises
    ------
    CorruptModelError
        The file is not a whole, unchanged fastbp model.
    OSError
        The file does not exist or cannot be read.
    """
    return network_of(path, *modelfile.read(path))


def network_of(path: object, architecture: dict[str, Any], tensors: modelfile.Tensors) -> Network:
    """Return the network that a file at `path` describes.

    Raises
    ------
    CorruptModelError
        It describes none.
    """
    try:
        return _rebuilt(architecture, tensors)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise CorruptModelError(f"{path} describes no usable network: {error}") from error


def _rebuilt(architecture: dict[str, Any], tensors: modelfile.Tensors) -> Network:
    """Return a new network of this architecture with these parameters.

    Raises
    ------
    LookupError, TypeError, ValueError
        The two do not describe a network.
    """
    n_inputs = _check.positive_int(architecture["n_inputs"], "n_inputs")
    dtype = _check.floating_dtype(architecture["dtype"])
    n_weighted = sum(name.startswith("layers.") for name in tensors) // 2
    layers = network_layers(modelfile.layers_of(architecture["layers"], n_weighted))
    wanted = {name: (shape, dtype) for name, shape in _shapes(n_inputs, layers, dtype).items()}
    if "preprocessing" in architecture:
        shape, float64 = tuple(architecture["preprocessing"]), np.dtype(np.float64)
        wanted["preprocessing.mean"] = (shape[:1], float64)
        wanted["preprocessing.matrix"] = (shape, float64)
        if "preprocessing.image" in tensors:
            wanted["preprocessing.image"] = ((2, shape[-1]), float64)
    # Compared before anything is allocated: a forged architecture may ask for any size.
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    if found != wanted:
        raise ValueError("the tensors do not fit the architecture")
    network = Network._unset(n_inputs, layers, dtype)
    network.metadata = dict(architecture["metadata"])
    columns, labels = architecture.get("columns"), architecture.get("classes")
    classes = _labels.stored(labels, layers[-1].units)
    for i, layer in enumerate(network.weighted_layers):
        layer.weight[...] = tensors[f"layers.{i}.weight"]
        layer.bias[...] = tensors[f"layers.{i}.bias"]
    if "preprocessing" in architecture:
        mean, matrix = (tensors[f"preprocessing.{name}"] for name in ("mean", "matrix"))
        network.preprocessing = Affine._of(mean, matrix, tensors.get("preprocessing.image"))
    network._names = Names(_frames.column_names(columns, network.n_inputs), classes)
    return network


def _shapes(
    n_inputs: int, layers: Sequence[Layer], dtype: np.dtype[Any]
) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for i, (weight, bias) in enumerate(parameter_shapes(n_inputs, layers, dtype)):
        found[f"layers.{i}.weight"], found[f"layers.{i}.bias"] = weight, bias
    return found
