"""The part of `Network` that backpropagates without training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from numpy.typing import ArrayLike, NDArray

from . import _check
from ._measure import gradients
from ._weights import row_weights
from .engine.runtime import get_num_threads

if TYPE_CHECKING:
    import numpy as np

    from ._affine import Affine
    from ._given import LossFunction
    from ._layer import Weighted
    from ._loss import Loss
    from .engine.model import Model

__all__ = ["Differentiable"]

Gradients = list[tuple[NDArray[Any], NDArray[Any]]]


class Differentiable:
    """Gradients by the weights and the inputs of what has a model, a loss and a gate for rows."""

    if TYPE_CHECKING:
        weighted_layers: tuple[Weighted, ...]
        _model: Model
        _ahead: Affine | None

        @property
        def dtype(self) -> np.dtype: ...
        def _loss(self, loss: str | Loss | LossFunction) -> Loss: ...
        def _examples(
            self, x: ArrayLike, y: ArrayLike, loss: Loss
        ) -> tuple[NDArray[Any], NDArray[Any]]: ...

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
            Targets [n, n_outputs], or integer classes [n].
        loss : str, Loss or callable
            A name, a loss with options, or a function of your own: see `fastbp.losses`.
        inputs : bool
            Also return the gradient with respect to `x`.
        sample_weight : array_like, optional
            [n], >= 0: the loss is ``sum(sample_weight * row losses) / n``.

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
        x, y = self._examples(x, y, resolved)
        inputs = _check.flag(inputs, "inputs")
        weights = row_weights(sample_weight, None, y, self.dtype)
        value, model, dx = gradients(
            self._model, resolved, x, y, weights, get_num_threads(), inputs
        )
        pairs = [layer._views(model) for layer in self.weighted_layers]
        if dx is None:
            return value, pairs
        return value, pairs, dx if self._ahead is None else self._ahead._pulled_back(dx)
