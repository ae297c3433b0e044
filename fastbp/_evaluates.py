"""The part of `Trainer` that measures without training: losses, accuracies, weights of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from ._measure import evaluate, means
from ._weights import ClassWeight, row_weights
from .engine.runtime import get_num_threads
from .errors import ConfigError

if TYPE_CHECKING:
    from ._loss import Loss
    from .network import Network

__all__ = ["Evaluates"]

Arrays = tuple[NDArray[Any], NDArray[Any]]


class Evaluates:
    """Means over rows of what has a network and a loss."""

    if TYPE_CHECKING:

        @property
        def network(self) -> Network: ...

        _loss: Loss
        _n_threads: int | None
        _class_weight: ClassWeight

    def evaluate(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> dict[str, float]:
        """Return the mean "loss" and, in classification, the "accuracy" on these rows.

        `sample_weight` weighs the loss as in `fit`, not the accuracy.

        Raises
        ------
        InputError, LabelError, ShapeError, DTypeError
            An argument cannot be used.
        """
        x, y = self.network._examples(x, y, self._loss)
        return self._measure(x, y, row_weights(sample_weight, None, y, self.network.dtype))

    def _validation(self, data: tuple[ArrayLike, ArrayLike] | None) -> Arrays | None:
        if data is None:
            return None
        if not isinstance(data, tuple | list) or len(data) != 2:
            raise ConfigError(f"validation_data: got a {type(data).__name__}, wanted a pair (x, y)")
        return self.network._examples(*data, self._loss, ("validation x", "validation y"))

    def _measure(
        self, x: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None = None
    ) -> dict[str, float]:
        n_threads = self._n_threads or get_num_threads()
        loss, hits = evaluate(self.network._model, self._loss, x, y, weights, n_threads)
        return means(self._loss, loss, hits, len(x), y)

    def _weights(self, sample_weight: ArrayLike | None, y: NDArray[Any]) -> NDArray[Any] | None:
        return row_weights(sample_weight, self._class_weight, y, self.network._dtype)
