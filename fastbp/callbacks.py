"""What `Trainer.fit` calls while it trains, and the ready-made rules for when to stop.

A callback is a function of ``(trainer, history)``, called at the end of each epoch, or an object
with any of these methods, called in this order:

- ``on_fit_begin(trainer, x, y, validation_data)``, before the first step, with the data as the
  caller of `fit` gave them; what it raises leaves the trainer as it was. `Trainer.row_weights` has
  the weights of the rows;
- ``on_region_end(trainer)``, about every 50 ms within an epoch; what it raises, if it is no
  interrupt, undoes the epoch;
- ``on_epoch_end(trainer, history)``, when an epoch has been recorded: the moment to measure more,
  and to add it with ``history.record(name, value)``;
- ``on_epoch_recorded(trainer, history)``, when all have done so: the moment to decide. The rules
  here and the schedule do it then, so their place in the list does not matter;
- ``on_restore(trainer, history)``, when training ends without an error: the moment to put other
  weights into the network, as `EarlyStopping` does;
- ``on_fit_end(trainer, history)``, after that: the network is what `fit` leaves;
- ``on_checkpoint(trainer, history)``, when all callbacks have seen an epoch, or after the last one
  the end of training: the moment to save, pickle or copy the trainer;
- ``resume_state``, a property: a dict of the numbers and texts by which it decides. It is saved
  with a trainer whose `fit` has not ended, and assigned, after ``on_fit_begin``, by a `fit` that
  goes on from there.

What is true, returned by ``on_epoch_end``, ``on_epoch_recorded`` or ``on_region_end``, stops
training; a string is also the reason that `History.stopped` gives, else that is the name of the
class or the function.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from ._monitor import Monitor, worst
from .engine.arrays import held
from .engine.averaging import Averaging
from .errors import ConfigError, brief
from .formats.atomicfile import require_writable
from .history import History
from .losses import Loss
from .network import Names, Network
from .optimizers import LBFGS
from .training.fit import Callback
from .training.objective import Objective
from .training.state import TrainingState, parameters_of

__all__ = [
    "Average",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradientNorm",
    "NoImprovement",
    "TargetLoss",
    "TimeLimit",
]

Validation = tuple[ArrayLike, ArrayLike] | None


class Trained(Protocol):
    """What the callbacks here ask of a trainer."""

    _loss: Loss
    _state: TrainingState
    _objective: Objective

    @property
    def network(self) -> Network: ...

    @property
    def history(self) -> History: ...

    def save(self, path: str | os.PathLike[str]) -> None: ...

    def _packed(self) -> object: ...

    def _measured(
        self, given: None, y: None, data: Any, names: Names
    ) -> Callable[[], dict[str, float]]: ...


class EarlyStopping:
    """Stop when a value has not improved for some epochs, and take back the best weights.

    Prechelt, "Early stopping - but when?", 1998.

    It goes on with what it has found when the same trainer is trained on: a loop of
    ``fit(epochs=1)``, or of `Trainer.step` and `Trainer.end_epoch`, ends as one call of many epochs
    does, to the last bit. So the network has the best weights after each `fit`, and the next one
    goes on from the last ones. It begins anew with another trainer or another column, after it has
    stopped training, and after `reset`. It also goes on with what another one has found if the last
    `fit` of the trainer did not come to its end: after an error, an interrupt, or `Trainer.load` of
    a file written within a fit; and where a loop of steps was saved or copied, in the rest of it.

    Parameters
    ----------
    patience : int
        Epochs in a row without an improvement after which training stops; 0 is as 1.
    monitor : str, optional
        The column of `History` that has to improve: "loss", "val_accuracy", one that a callback
        records. Default: "val_loss" if there is validation data, else "loss".
    min_delta : float
        An improvement is a value better than the best by more than this.
    restore_best : bool
        Whether the network ends with the weights of its best epoch, bit for bit, however `fit`
        ends but for an error. The optimizer's state stays that of the last step.
    mode : {"min", "max"}, optional
        Which value is the best. Default: as the name of the column says.
    baseline : float, optional
        Only values better than this end a row of epochs without an improvement.

    Attributes
    ----------
    best : float
        The best value; infinity before there is one, or minus infinity with the mode "max".
    best_epoch : int
        Its epoch, as `History.epochs` counts them.

    Notes
    -----
    The values of "loss" and "accuracy" are means over the steps of an epoch, and the weights of an
    epoch are those at its end, as is usual. An epoch of one step, such as one of
    ``batch_size=None``, has measured them with the weights before that step, so these are its
    weights. Up to three copies of the parameters are held while the best ones are to be restored.

    Raises
    ------
    ConfigError
        An option is out of its range; in `fit`, the epochs have no such column.
    """

    def __init__(
        self,
        patience: int,
        monitor: str | None = None,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str | None = None,
        baseline: float | None = None,
    ) -> None:
        self._patience = _check.whole(patience, "patience")
        self._monitor = Monitor(monitor, mode)
        self._min_delta = _check.number(min_delta, "min_delta")
        self._restore_best = _check.flag(restore_best, "restore_best")
        self._baseline = None if baseline is None else _check.real(baseline, "baseline")
        self._history: History | None = None  # of the trainer that it goes on with
        self._name = ""
        self._takes_over = True  # what another one has found in a fit that did not end
        self._forget(0)

    def reset(self) -> None:
        """Forget what was found: the next call begins anew, from the weights that it finds."""
        self._forget(0)
        self._history, self._takes_over = None, False

    def _forget(self, epochs: int) -> None:
        self.best, self.best_epoch, self._wait = worst(self._monitor.mode), epochs, 0
        # In the engine's layout: the best, and the last ones while the network has the best.
        self._best_weights: NDArray[Any] | None = None
        self._last_weights: NDArray[Any] | None = None
        self._stopped = self._taken_up = False

    @property
    def best_weights(self) -> NDArray[Any] | None:
        """The weights of the best epoch, as `Network.parameters` takes them; a copy.

        None before there are any, and with ``restore_best=False``. After an interrupt, a divergence
        or an error in a callback the network has other weights, and the best are at hand:
        ``network.parameters = stopping.best_weights``.
        """
        flat = self._best_weights
        return None if flat is None else parameters_of(self._network, flat)

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """See what is watched; forget what was found in another training."""
        validated = validation_data is not None
        self._monitor.require(trainer._state.moment.columns, validated)
        name, history = self._monitor.column(validated), trainer.history
        if self._history is not history or self._name != name or self._stopped:
            self._forget(history.epochs)
        self._name, self._history, self._network = name, history, trainer.network

    def _take_up(self, trainer: Trained, history: History) -> None:
        """Let training go on from its last weights, if the network has the best ones unchanged."""
        arena, best, last = trainer.network._model.arena, self._best_weights, self._last_weights
        self._taken_up = False
        if best is not None and last is not None and np.array_equal(arena, best):
            self._taken_up = True
            arena[...] = last

    def _call_off(self, trainer: Trained, history: History) -> None:
        """Undo `_take_up`: the call has failed before its first step."""
        if self._taken_up:
            trainer.network._model.arena[...] = self._best_weights
            self._taken_up = False

    def on_epoch_recorded(self, trainer: Trained, history: History) -> str | None:
        """Keep the weights if they are the best; count the epochs since."""
        value = self._monitor.value(self._name, history._last())
        self._last_weights, self._taken_up, self._takes_over = None, False, True
        wait = self._wait + 1
        if self._monitor.better(value, self.best, self._min_delta):
            # A new copy: the old one is what `fit` goes on from if an interrupt comes here.
            if self._restore_best:
                self._best_weights = trainer._state.weights_of(self._name).copy()
            self.best, self.best_epoch = value, history.epochs
            if self._baseline is None or self._monitor.better(value, self._baseline):
                wait = 0
        self._wait = wait
        if not wait or wait < self._patience:
            return None
        self._stopped = True
        return (
            f"{self._name} no better than {self.best:.4g} of epoch {self.best_epoch} "
            f"for {wait} epochs"
        )

    def _before_restore(self, trainer: Trained, history: History) -> None:
        """Note the last weights, unless training is over."""
        if self._best_weights is not None and not self._stopped:
            self._last_weights = trainer.network._model.arena.copy()

    def on_restore(self, trainer: Trained, history: History) -> None:
        """Put the best weights back."""
        if self._best_weights is not None:
            trainer.network._model.arena[...] = self._best_weights

    @property
    def resume_state(self) -> dict[str, Any]:
        """What it has found; of another monitor nothing is taken."""
        return {
            "monitor": self._name,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "wait": self._wait,
            "best_weights": self._best_weights,
        }

    @resume_state.setter
    def resume_state(self, value: dict[str, Any]) -> None:
        if value["monitor"] == self._name and self._takes_over:
            self.best, self.best_epoch = value["best"], value["best_epoch"]
            self._wait, self._best_weights = value["wait"], value["best_weights"]


class NoImprovement:
    """Stop, or first lower the learning rate, when epochs are no better than the best before them.

    An epoch improves if its value is better than the best of all epochs before it by `tol` at
    least. Other than with `EarlyStopping` and `ReduceOnPlateau`, improvements below the margin do
    not add up: the best is the best value of any epoch, so that slow progress ends training too.
    This is the rule of scikit-learn's `MLPClassifier`. It restores no weights; add an
    `EarlyStopping` for that.

    It goes on with what it has found when the same trainer is trained on, and begins anew with
    another one. `best` and `wait` may be assigned before the first `fit`, to go on from an earlier
    training.

    Parameters
    ----------
    patience : int
        Epochs in a row without an improvement that are put up with; the next one acts.
    tol : float
        The least improvement that counts, as a difference.
    monitor, mode : str, optional
        As for `EarlyStopping`.
    factor : float, optional
        In (0, 1): the learning rate of the optimizer is multiplied by it as long as the rate is
        above `min_rate`, and only then training stops. Default: it stops at once.
    min_rate : float
        The learning rate at which there is nothing left to lower.

    Attributes
    ----------
    best : float
        The best value; infinity before there is one, or minus infinity with the mode "max".
    wait : int
        Epochs in a row without an improvement, since the last change of the rate.

    Raises
    ------
    ConfigError
        An option is out of its range; in `fit`, the epochs have no such column, or there is a
        `factor` and the learning rate is no number.
    """

    def __init__(
        self,
        patience: int,
        tol: float = 0.0,
        monitor: str | None = None,
        mode: str | None = None,
        factor: float | None = None,
        min_rate: float = 1e-6,
    ) -> None:
        self._patience = _check.whole(patience, "patience")
        self._tol = _check.number(tol, "tol")
        self._monitor = Monitor(monitor, mode)
        self._factor = None if factor is None else _check.share(factor, "factor")
        self._min_rate = _check.number(min_rate, "min_rate")
        self._history: History | None = None  # of the trainer that it goes on with
        self._name = ""
        self._forget()

    def _forget(self) -> None:
        self.best, self.wait = worst(self._monitor.mode), 0

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """See what is watched; forget what was found in another training."""
        validated = validation_data is not None
        self._monitor.require(trainer._state.moment.columns, validated)
        rate = trainer._state.optimizer.learning_rate
        if self._factor is not None and callable(rate):
            raise ConfigError(
                f"callbacks: got NoImprovement with a factor and the learning rate {brief(rate)}, "
                "wanted a number that it can lower"
            )
        name, history = self._monitor.column(validated), trainer.history
        known = self._history is None or (self._history is history and self._name == name)
        if not known:
            self._forget()
        self._name, self._history = name, history

    def on_epoch_recorded(self, trainer: Trained, history: History) -> str | None:
        """Compare; count the epochs without an improvement."""
        value = self._monitor.value(self._name, history._last())
        sign = 1 if self._monitor.mode == "max" else -1
        improved = sign * value >= sign * self.best + self._tol
        self.wait = 0 if improved else self.wait + 1
        if self._monitor.better(value, self.best):
            self.best = value
        if self.wait <= self._patience:
            return None
        optimizer = trainer._state.optimizer
        rate = optimizer.learning_rate
        if self._factor is not None and not callable(rate) and rate > self._min_rate:
            optimizer.learning_rate, self.wait = rate * self._factor, 0
            return None
        return (
            f"{self._name} not better than the best before by {self._tol:g} for {self.wait} epochs"
        )

    @property
    def resume_state(self) -> dict[str, Any]:
        """What it has found; of another monitor nothing is taken."""
        return {"monitor": self._name, "best": self.best, "wait": self.wait}

    @resume_state.setter
    def resume_state(self, value: dict[str, Any]) -> None:
        if value["monitor"] == self._name:
            self.best, self.wait = value["best"], value["wait"]


class TargetLoss:
    """Stop when a value of an epoch has reached a target: a loss at most `value`, by default.

    The loss that it reports is one that the network has. That of an epoch of one step, such as one
    of ``batch_size=None``, was measured with the weights before the step, so the network ends with
    these; the optimizer's state stays that of the last step.

    Parameters
    ----------
    value : float
        The value to reach, of either sign.
    monitor, mode : str, optional
        As for `EarlyStopping`; with the mode "max" the value is to be at least `value`.

    Raises
    ------
    ConfigError
        An option is out of its range; in `fit`, the epochs have no such column.
    """

    def __init__(self, value: float, monitor: str | None = None, mode: str | None = None) -> None:
        self._value = _check.real(value, "value")
        self._monitor = Monitor(monitor, mode)
        self._measured: NDArray[Any] | None = None

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """Settle what is watched."""
        validated = validation_data is not None
        self._monitor.require(trainer._state.moment.columns, validated)
        self._name, self._measured = self._monitor.column(validated), None

    def on_epoch_recorded(self, trainer: Trained, history: History) -> str | None:
        """Compare."""
        value = self._monitor.value(self._name, history._last())
        if value != self._value and not self._monitor.better(value, self._value):
            return None
        weights = trainer._state.weights_of(self._name)
        if weights is not trainer.network._model.arena:
            self._measured = weights.copy()
        sign = "<=" if self._monitor.mode == "min" else ">="
        return f"{self._name} {value:.4g} {sign} {self._value:g}"

    def _undo_last_step(self, trainer: Trained, history: History) -> None:
        """Go back to the weights that were measured; rules that keep the best may come after."""
        if self._measured is not None:
            trainer.network._model.arena[...] = self._measured
            self._measured = None


class TimeLimit:
    """Stop after some seconds of wall time, to within 50 ms or a step, whichever is longer.

    The epoch that is cut short is recorded with the means over the steps that it did.

    Parameters
    ----------
    seconds : float
        From the begin of `fit`, or from the first `Trainer.end_epoch` of a loop, > 0.

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
    Then the network in it has the weights that the best value was measured with, as after
    `EarlyStopping`. Each file takes the place of the last one, which stays whole until then.

    Parameters
    ----------
    path : path-like
        Of the file.
    every : int
        Epochs, as `History.epochs` counts them, from one file to the next.
    best : str, optional
        The column of `History` that has to be better than before.
    mode : {"min", "max"}, optional
        As for `EarlyStopping`.

    Raises
    ------
    ConfigError
        An option is out of its range; in `fit`, the epochs have no such column, or the trainer
        cannot be saved (see `Trainer.save`).
    OSError
        In `fit`, before the first step: the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int = 1,
        best: str | None = None,
        mode: str | None = None,
    ) -> None:
        self._path = str(Path(_check.path(path)).absolute())  # the folder may be changed
        self._every = _check.positive_int(every, "every")
        self._monitor = Monitor(best, mode, "best")
        self._best = self._monitor.name
        self._weights: NDArray[Any] | None = None  # to be saved, in the engine's layout

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """See whether the file can be written, and what is to be improved on."""
        if self._best is not None:
            self._monitor.require(trainer._state.moment.columns, validation_data is not None)
        trainer._packed()
        require_writable(self._path)
        self._most, self._due = worst(self._monitor.mode), False
        if self._best is not None and os.path.exists(self._path):
            for value in trainer.history.get(self._best, [])[self._every - 1 :: self._every]:
                if self._monitor.better(value, self._most):
                    self._most = value

    def on_epoch_recorded(self, trainer: Trained, history: History) -> None:
        """Note whether this epoch is to be saved, and if it is the best one with which weights."""
        self._due, self._weights = history.epochs % self._every == 0, None
        if self._due and self._best is not None:
            value = self._monitor.value(self._best, history._last())
            self._due = self._monitor.better(value, self._most)
            if self._due:
                self._most = value
                self._weights = trainer._state.weights_of(self._best).copy()

    def on_checkpoint(self, trainer: Trained, history: History) -> None:
        """Save."""
        if not self._due:
            return
        if self._weights is None:
            trainer.save(self._path)
            return
        arena = trainer.network._model.arena
        now = arena.copy()
        try:
            arena[...] = self._weights
            trainer.save(self._path)
        finally:
            arena[...] = now
        self._weights = None

    def on_fit_end(self, trainer: Trained, history: History) -> None:
        """Have the end saved."""
        self._due |= self._best is None


class Average:
    """Average the weights over the steps of training, the late ones most: a network of its own.

    Its predictions are steadier than those of the network that is trained, which ends wherever the
    last steps have left it (Polyak and Juditsky, "Acceleration of stochastic approximation by
    averaging", 1992; as the weights of a mean teacher or a target network it is called EMA). After
    each step, in compiled code,

        average = decay * average + (1 - decay) * weights

    in the network's dtype, both products and the sum rounded. It begins with the weights after the
    first step, as in PyTorch's ``AveragedModel`` with ``get_ema_multi_avg_fn(decay)``, so nothing
    pulls it to zero and no correction is needed; about ``1 / (1 - decay)`` steps count. Biases and
    layers that are frozen are averaged too.

    With validation data the averaged network is measured after each epoch as well, as
    "val_average_loss" and so on. `EarlyStopping` and `Checkpoint` may watch these columns; what
    they keep are then the averaged weights, which that value belongs to. Else the network that is
    trained is left alone, and an `EarlyStopping` that puts its best weights back does not change
    the average.

    It goes on when the same trainer is trained on, and begins anew with another trainer and after
    `reset`. After an error or a divergence it is back where the weights are; it is saved with a
    trainer whose `fit` has not ended, and goes on to the same bits. In a loop of `Trainer.step` it
    begins with the first `Trainer.end_epoch` that it is given to.

    Parameters
    ----------
    decay : float
        In [0, 1): 0.99 to 0.9999.
    warmup : bool
        Whether the decay of the step after n steps is at most ``(1 + n) / (10 + n)``, so that the
        average forgets the first weights sooner (as in TensorFlow).
    name : str
        Of the columns: ``val_<name>_loss``. Two averages of one fit need different ones.

    Raises
    ------
    ConfigError
        An option is out of its range; in `fit`, two have the same name, or the optimizer is
        `LBFGS`.

    Examples
    --------
    >>> import fastbp as fb
    >>> net = fb.Network(2, [fb.Dense(4, "tanh"), fb.Dense(1, "sigmoid")], seed=0)
    >>> average = fb.Average(0.9)
    >>> trainer = fb.Trainer(net, "binary_cross_entropy", fb.SGD(1.0), seed=0)
    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1]
    >>> history = trainer.fit(x, y, epochs=50, callbacks=[average])
    >>> fb.Trainer(average.network, "binary_cross_entropy").evaluate([[1, 1]], [1])["accuracy"]
    1.0
    """

    _records = True

    def __init__(self, decay: float, warmup: bool = False, name: str = "average") -> None:
        self._decay = _check.number(decay, "decay", below=1)
        self._warmup = _check.flag(warmup, "warmup")
        text = _check.text(name)
        if not text:
            raise ConfigError(f"name: got {brief(name)}, wanted a text")
        self._begin = f"val_{text}_"
        self.reset()

    def reset(self) -> None:
        """Forget the average: the next call begins anew."""
        self._history: History | None = None
        self._network: Network | None = None
        self._averaging: Averaging | None = None
        self._measure: Callable[[], dict[str, float]] | None = None

    @property
    def network(self) -> Network:
        """The averaged network, which goes on with training: copy it to keep it.

        Raises
        ------
        ConfigError
            Nothing has been trained yet.
        """
        if self._network is None:
            raise ConfigError("network: got none before training, wanted it after a step")
        return self._network

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: the average, but no data."""
        averaging = self._averaging
        first = None if averaging is None else averaging.first
        return vars(self) | {"_measure": None, "_averaging": first}

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Take what a pickle holds."""
        vars(self).update(values)
        first, self._averaging = values["_averaging"], None
        if first is not None:
            self._averaging = Averaging(self.network._model, self._decay, self._warmup, first)

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Any) -> None:
        """Let the average follow the steps."""
        state = trainer._state
        if isinstance(state.optimizer, LBFGS):
            raise ConfigError("callbacks: got Average with LBFGS, wanted another optimizer")
        if self._begin in state.averagings:
            raise ConfigError(
                f"callbacks: got two Average of the columns {self._begin}..., wanted another name "
                "for one of them"
            )
        if self._history is not trainer.history or self._averaging is None:
            self._history, self._network = trainer.history, trainer.network.copy()
            first, model = state.steps.n, self._network._model
            self._averaging = Averaging(model, self._decay, self._warmup, first)
        state.averagings[self._begin] = self._averaging
        self._measure = None
        if validation_data is not None:
            names = trainer.network._names
            self._measure = trainer._measured(None, None, validation_data, names)

    def on_epoch_end(self, trainer: Trained, history: History) -> None:
        """Measure the average."""
        if self._measure is None or self._averaging is None:
            return
        arena = trainer.network._model.arena
        now = arena.copy()
        try:
            arena[...] = self._averaging.model.arena
            found = self._measure()
        finally:
            arena[...] = now
        for name, value in found.items():
            history.record(self._begin + name.removeprefix("val_"), value)

    def on_fit_end(self, trainer: Trained, history: History) -> None:
        """Let go of the validation data."""
        self._measure = None

    @property
    def resume_state(self) -> dict[str, Any]:
        """The average, and the step that it has begun with."""
        averaging = self._averaging
        if averaging is None:
            return {"average": None, "first": 0, "name": self._begin}
        return {"average": averaging.model.arena, "first": averaging.first, "name": self._begin}

    @resume_state.setter
    def resume_state(self, value: dict[str, Any]) -> None:
        averaging, found = self._averaging, value["average"]
        if averaging is not None and found is not None and value["name"] == self._begin:
            averaging.model.arena[...] = found
            averaging.first = value["first"]


class GradientNorm:
    """Stop when the gradient of what is minimised is short: a minimum, or a plateau.

    The gradient is that of the mean loss over all training rows, with the weights of rows and of
    classes and with the penalties, for the weights after the epoch; its Euclidean norm is over all
    trainable weights and biases. One more pass over the rows, forward and backward, for each epoch.

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
        `bound` is out of its range; in `fit`, batches in place of rows.
    """

    def __init__(self, bound: float) -> None:
        self._bound = _check.positive(bound, "bound")
        self.norm = np.inf

    def on_fit_begin(self, trainer: Trained, x: Any, y: Any, validation_data: Validation) -> None:
        """Note the rows."""
        if y is None:
            raise ConfigError("callbacks: got GradientNorm with batches, wanted x and y as arrays")
        self._rows = held(x), held(y)  # of these shapes, whatever others do to them

    def on_epoch_recorded(self, trainer: Trained, history: History) -> str | None:
        """Compute the norm and compare."""
        network, penalties, norms = trainer.network, trainer._objective, [0.0]
        weights = trainer._state.moment.row_weights
        _, pairs = network.gradients(*self._rows, trainer._loss, sample_weight=weights)
        for layer, (dw, db) in zip(network.weighted_layers, pairs, strict=True):
            if layer.trainable:
                gradient = zip((dw, db), penalties.slopes(layer), strict=True)
                norms += [_norm(g + s) for g, s in gradient]
        self.norm = _norm(np.array(norms))
        short = self.norm < self._bound
        return f"gradient norm {self.norm:.4g} < {self._bound:g}" if short else None

    def on_fit_end(self, trainer: Trained, history: History) -> None:
        """Let go of the rows."""
        del self._rows


def _norm(values: NDArray[Any]) -> float:
    """Return the Euclidean norm; no square overflows or underflows."""
    values = values.astype(np.float64)
    largest = float(np.abs(values).max())
    if not 0 < largest < np.inf:
        return largest
    return largest * float(np.sqrt(np.sum((values / largest) ** 2)))
