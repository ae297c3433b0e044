"""What `Trainer.fit` calls while it trains, and the ready-made rules for when to stop.

A callback is any object with ``on_epoch_end(trainer, history)``. It may have more:

- ``on_fit_begin(trainer, x, y, validation_data)``, before the first step, with the data as the
  caller of `fit` gave them; what it raises leaves the trainer as it was;
- ``on_region_end(trainer)``, about every 50 ms within an epoch;
- ``on_fit_end(trainer, history)``, when training ends without an error.

What is true, returned by ``on_epoch_end`` or ``on_region_end``, stops training; a string is also
the reason that `History.stopped` gives, else that is the name of the class.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .errors import ConfigError
from .history import History
from .losses import Loss
from .network import Network
from .training.fit import Callback
from .training.objective import Objective

__all__ = ["Callback", "EarlyStopping", "GradientNorm", "TargetLoss", "TimeLimit"]

Validation = tuple[ArrayLike, ArrayLike] | None


class Trained(Protocol):
    """What the callbacks here ask of a trainer."""

    _loss: Loss
    _objective: Objective

    @property
    def network(self) -> Network: ...

    @property
    def history(self) -> History: ...


class EarlyStopping:
    """Stop when the loss has not improved for some epochs, and take back the best weights.

    Prechelt, "Early stopping - but when?", 1998.

    Parameters
    ----------
    patience : int
        Epochs in a row without an improvement after which training stops.
    monitor : {"val_loss", "loss"}, optional
        What has to improve. Default: "val_loss" if `fit` is given validation data, else "loss".
    min_delta : float
        An improvement is a loss below the best by more than this.
    restore_best : bool
        Whether the network ends with the weights of its best epoch, bit for bit, however `fit`
        ends but for an error. This keeps one more copy of the parameters. The optimizer's state
        stays that of the last step.

    Attributes
    ----------
    best : float
        The best loss of the last call of `fit`.
    best_epoch : int
        Its epoch, as `History.epochs` counts them.

    Raises
    ------
    ConfigError
        An option is out of its range; in `fit`, "val_loss" without validation data.
    """

    def __init__(
        self,
        patience: int,
        monitor: str | None = None,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self._patience = _check.positive_int(patience, "patience")
        self._monitor = _monitor(monitor)
        self._min_delta = _check.number(min_delta, "min_delta")
        self._restore_best = _check.flag(restore_best, "restore_best")
        self.best, self.best_epoch = np.inf, 0
        self._best_weights: NDArray[Any] | None = None

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """Forget what an earlier call found."""
        self._name = _monitored(self._monitor, validation_data)
        self.best, self.best_epoch, self._best_weights = np.inf, trainer.history.epochs, None

    def on_epoch_end(self, trainer: Trained, history: History) -> str | None:
        """Keep the weights if they are the best; count the epochs since."""
        value = history[self._name][-1]
        if value < self.best - self._min_delta:
            self.best, self.best_epoch = value, history.epochs
            if self._restore_best:
                arena = trainer.network._model.arena
                self._best_weights = (
                    arena.copy() if self._best_weights is None else self._best_weights
                )
                self._best_weights[...] = arena
        if history.epochs - self.best_epoch < self._patience:
            return None
        return (
            f"{self._name} no better than {self.best:.4g} of epoch {self.best_epoch} "
            f"for {self._patience} epochs"
        )

    def on_fit_end(self, trainer: Trained, history: History) -> None:
        """Put the best weights back."""
        if self._best_weights is not None:
            trainer.network._model.arena[...] = self._best_weights
            self._best_weights = None


class TargetLoss:
    """Stop when the loss of an epoch is at most `value`.

    Parameters
    ----------
    value : float
        The loss to reach.
    monitor : {"val_loss", "loss"}, optional
        As for `EarlyStopping`.

    Raises
    ------
    ConfigError
        An option is out of its range; in `fit`, "val_loss" without validation data.
    """

    def __init__(self, value: float, monitor: str | None = None) -> None:
        self._value = _check.number(value, "value")
        self._monitor = _monitor(monitor)

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """Settle what is watched."""
        self._name = _monitored(self._monitor, validation_data)

    def on_epoch_end(self, trainer: Trained, history: History) -> str | None:
        """Compare."""
        value = history[self._name][-1]
        return f"{self._name} {value:.4g} <= {self._value:g}" if value <= self._value else None


class TimeLimit:
    """Stop after some seconds of wall time, to within 50 ms or a step, whichever is longer.

    The epoch that is cut short is recorded with the means over the steps that it did.

    Parameters
    ----------
    seconds : float
        From the begin of `fit`, > 0.

    Raises
    ------
    ConfigError
        `seconds` is out of its range.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = _check.positive(seconds, "seconds")

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """Start the clock."""
        self._begin = perf_counter()

    def on_region_end(self, trainer: Trained) -> str | None:
        """Look at the clock."""
        over = perf_counter() - self._begin >= self._seconds
        return f"{self._seconds:g} s are over" if over else None

    def on_epoch_end(self, trainer: Trained, history: History) -> str | None:
        """Look at the clock once more: the validation takes time too."""
        return self.on_region_end(trainer)


class GradientNorm:
    """Stop when the gradient of what is minimised is short: a minimum, or a plateau.

    The gradient is that of the mean loss over all training rows, with the penalties, for the
    weights after the epoch; its Euclidean norm is over all trainable weights and biases. One more
    pass over the rows, forward and backward, for each epoch.

    Parameters
    ----------
    bound : float
        Stops below it, > 0.

    Attributes
    ----------
    norm : float
        The last one.

    Raises
    ------
    ConfigError
        `bound` is out of its range.
    """

    def __init__(self, bound: float) -> None:
        self._bound = _check.positive(bound, "bound")
        self.norm = np.inf

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """Note the rows."""
        self._rows = x, y

    def on_epoch_end(self, trainer: Trained, history: History) -> str | None:
        """Compute the norm and compare."""
        network, penalties, total = trainer.network, trainer._objective, 0.0
        _, pairs = network.gradients(*self._rows, trainer._loss)
        for layer, (dw, db) in zip(network.weighted_layers, pairs, strict=True):
            if layer.trainable:
                gradient = zip((dw, db), penalties.slopes(layer), strict=True)
                total += sum(float(np.sum(np.square(g + s, dtype=np.float64))) for g, s in gradient)
        self.norm = float(np.sqrt(total))
        short = self.norm < self._bound
        return f"gradient norm {self.norm:.4g} < {self._bound:g}" if short else None

    def on_fit_end(self, trainer: Trained, history: History) -> None:
        """Let go of the rows."""
        del self._rows


def _monitor(name: Any) -> str | None:
    return None if name is None else _check.choice(name, ("val_loss", "loss"), "monitor")


def _monitored(name: str | None, validation_data: Validation) -> str:
    if name == "val_loss" and validation_data is None:
        raise ConfigError("monitor: got 'val_loss' without validation_data, wanted both or neither")
    return name or ("loss" if validation_data is None else "val_loss")
