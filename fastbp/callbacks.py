"""What `Trainer.fit` calls while it trains, and the ready-made rules for when to stop.

A callback is any object with ``on_epoch_end(trainer, history)``. It may have more:

- ``on_fit_begin(trainer, x, y, validation_data)``, before the first step, with the data as the
  caller of `fit` gave them; what it raises leaves the trainer as it was;
- ``on_region_end(trainer)``, about every 50 ms within an epoch;
- ``on_fit_end(trainer, history)``, when training ends without an error;
- ``on_checkpoint(trainer, history)``, when all callbacks have seen an epoch, or after the last one
  the end of training: the moment to save, pickle or copy the trainer;
- ``resume_state``, a property: a dict of the numbers and texts by which it decides. It is saved
  with a trainer whose `fit` has not ended, and assigned, after ``on_fit_begin``, by a `fit` that
  goes on from there.

What is true, returned by ``on_epoch_end`` or ``on_region_end``, stops training; a string is also
the reason that `History.stopped` gives, else that is the name of the class.
"""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .errors import ConfigError
from .formats.atomicfile import require_writable
from .history import History
from .losses import Loss
from .network import Network
from .training.fit import Callback
from .training.objective import Objective

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "GradientNorm", "TargetLoss", "TimeLimit"]

Validation = tuple[ArrayLike, ArrayLike] | None


class Trained(Protocol):
    """What the callbacks here ask of a trainer."""

    _loss: Loss
    _objective: Objective

    @property
    def network(self) -> Network: ...

    @property
    def history(self) -> History: ...

    def save(self, path: str | os.PathLike[str]) -> None: ...

    def _packed(self) -> object: ...


class EarlyStopping:
    """Stop when the loss has not improved for some epochs, and take back the best weights.

    Prechelt, "Early stopping - but when?", 1998.

    It goes on with what it has found if the last `fit` of the trainer did not come to its end:
    after an error, an interrupt, or `Trainer.load` of a file written within a fit.

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
        ends but for an error. This keeps one more copy of the parameters, and two while a better
        one is made. The optimizer's state stays that of the last step.

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
            # A new copy: the old one is what `fit` goes on from if an interrupt comes here.
            if self._restore_best:
                self._best_weights = trainer.network._model.arena.copy()
            self.best, self.best_epoch = value, history.epochs
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

    @property
    def resume_state(self) -> dict[str, Any]:
        """What it has found; of another monitor nothing is taken."""
        return {
            "monitor": self._name,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_weights": self._best_weights,
        }

    @resume_state.setter
    def resume_state(self, value: dict[str, Any]) -> None:
        if value["monitor"] == self._name:
            self.best, self.best_epoch = value["best"], value["best_epoch"]
            self._best_weights = value["best_weights"]


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


class Checkpoint:
    """Write the trainer to a file while it trains, so that `Trainer.load` can go on from there.

    Without `best` the file is written after every `every`-th epoch and once more when training has
    ended. With `best` it is written only after those of these epochs that are better than all
    before them, also than those of earlier calls of `fit` if there is a file: use two for both.
    Each file takes the place of the last one, which stays whole until then.

    Parameters
    ----------
    path : path-like
        Of the file.
    every : int
        Epochs, as `History.epochs` counts them, from one file to the next.
    best : {"val_loss", "loss"}, optional
        What has to be lower than before.

    Raises
    ------
    ConfigError
        An option is out of its range; in `fit`, "val_loss" without validation data, or the trainer
        cannot be saved (see `Trainer.save`).
    OSError
        In `fit`, before the first step: the file cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int = 1, best: str | None = None
    ) -> None:
        self._path = os.path.abspath(path)
        self._every = _check.positive_int(every, "every")
        self._best = _monitor(best, "best")

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """See whether the file can be written, and what is to be improved on."""
        _monitored(self._best, validation_data, "best")
        trainer._packed()
        require_writable(self._path)
        self._least, self._due = np.inf, False
        if self._best is not None and os.path.exists(self._path):
            due = trainer.history.get(self._best, [])[self._every - 1 :: self._every]
            self._least = min((value for value in due if value == value), default=np.inf)

    def on_epoch_end(self, trainer: Trained, history: History) -> None:
        """Note whether this epoch is to be saved."""
        self._due = history.epochs % self._every == 0
        if self._due and self._best is not None:
            value = history[self._best][-1]
            self._due = value < self._least
            self._least = min(value, self._least)

    def on_checkpoint(self, trainer: Trained, history: History) -> None:
        """Save."""
        if self._due:
            trainer.save(self._path)

    def on_fit_end(self, trainer: Trained, history: History) -> None:
        """Have the end saved."""
        self._due |= self._best is None


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
        if y is None:
            raise ConfigError("callbacks: got GradientNorm with batches, wanted x and y as arrays")
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


def _monitor(name: Any, option: str = "monitor") -> str | None:
    return None if name is None else _check.choice(name, ("val_loss", "loss"), option)


def _monitored(name: str | None, validation_data: Validation, option: str = "monitor") -> str:
    if name == "val_loss" and validation_data is None:
        raise ConfigError(
            f"{option}: got 'val_loss' without validation_data, wanted both or neither"
        )
    return name or ("loss" if validation_data is None else "val_loss")
