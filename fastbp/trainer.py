"""The trainer: fits a network to data with an optimizer, epoch by epoch or step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _check
from ._evaluates import Evaluates
from ._given import LossFunction
from ._loss import Loss
from ._progress import progress_bar
from ._weights import check_class_weight
from .callbacks import Callback, Callbacks
from .engine.runtime import get_num_threads
from .errors import ConfigError
from .history import History
from .network import Network
from .optimizers import SGD, Optimizer
from .training.fit import Fit
from .training.objective import Objective
from .training.runs import Runs
from .training.state import diverged

__all__ = ["Trainer"]


class Trainer(Evaluates):
    """Trains a network by backpropagation.

    Parameters
    ----------
    network : Network
        Trained in place.
    loss : str, Loss or callable
        A name, a loss with options, such as ``fb.losses.Huber(0.5)``, or a function of your own:
        see `fastbp.losses`. The mean over rows is minimised.
    optimizer : Optimizer, optional
        `SGD`, `Adagrad`, `RMSprop`, `Adam` or `AdamW`. Default: ``SGD(0.1)``.
    batch_size : int or None
        Rows per step; None takes all rows, in their order.
    l2, l1 : float
        Add ``l2 * sum(weight ** 2)`` and ``l1 * sum(abs(weight))``, with the slope 0 at weight 0,
        to what is minimised, not to what is reported.
    shuffle : bool
        Whether each epoch takes the rows in a new random order.
    seed : int, optional
        Of the shuffling (`numpy.random.SFC64`) and of dropout. Default: fresh entropy.
    n_threads : int, optional
        Default: `get_num_threads` at the time of training. The result does not depend on it.
    penalize_bias : bool
        Whether the penalties count biases too.
    clip_value : float, optional
        Every element of the gradient is brought into [-clip_value, clip_value].
    clip_norm : float, optional
        The gradient of all parameters together is scaled down to this Euclidean norm if it is
        longer, after `clip_value`. Like torch's weight decay, the penalties are added afterwards.
    max_norm : float, optional
        After a step the weights into each unit, a column of its layer's weight, are scaled down to
        this norm if theirs is larger (Srivastava et al., "Dropout", 2014); biases are left out.
    class_weight : dict or "balanced", optional
        Weights of the classes in `fit` and `step`, 1 for a class left out; "balanced" gives each
        class the same share of the rows of the call. Needs integer classes.

    Raises
    ------
    ConfigError
        An option is unknown or out of its range, or the loss does not suit the output layer.
    """

    def __init__(
        self,
        network: Network,
        loss: str | Loss | LossFunction,
        optimizer: Optimizer | None = None,
        batch_size: int | None = 32,
        l2: float = 0.0,
        shuffle: bool = True,
        seed: int | None = None,
        n_threads: int | None = None,
        *,
        l1: float = 0.0,
        penalize_bias: bool = False,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        class_weight: dict[int, float] | str | None = None,
    ) -> None:
        if not isinstance(network, Network):
            raise ConfigError(f"network: got {network!r}, wanted a Network")
        self._network = network
        self._optimizer = _checked(SGD(0.1) if optimizer is None else optimizer)
        self._loss = network._loss(loss)
        self._batch_size = _check.optional_int(batch_size, "batch_size")
        objective = Objective(l1, l2, penalize_bias, clip_value, clip_norm, max_norm)
        self._shuffle = _check.flag(shuffle, "shuffle")
        seeds = np.random.SeedSequence(_check.seed(seed))
        self._generator = np.random.SFC64(seeds)
        # Of a child: two words that tell nothing about the shuffling.
        dropout_seed = int(seeds.spawn(1)[0].generate_state(1, np.uint64)[0])
        self._runs = Runs(network, self._loss, objective, dropout_seed)
        self._n_threads = _check.optional_int(n_threads, "n_threads")
        self._class_weight = check_class_weight(class_weight, network.n_outputs)
        self._history = History()
        self._region = 1

    @property
    def network(self) -> Network:
        """The network; a trainer trains no other."""
        return self._network

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; another one may be assigned between two calls, not while one trains.

        It begins with the learning rate of the step that comes next. What the last one remembers
        of the parameters goes on if the new one remembers the same, else it begins at zero.

        Raises
        ------
        ConfigError
            The value is no optimizer.
        BusyError
            A call is training the network.
        """
        return self._optimizer

    @optimizer.setter
    def optimizer(self, value: Optimizer) -> None:
        with self._network._claim():
            self._optimizer = _checked(value)

    @property
    def history(self) -> History:
        """All epochs so far."""
        return self._history

    @property
    def n_steps(self) -> int:
        """Steps done so far."""
        return self._runs.steps.n

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        epochs: int = 1,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
        sample_weight: ArrayLike | None = None,
    ) -> History:
        """Train for some epochs; called again, go on where the last call ended.

        Parameters
        ----------
        x : array_like
            Rows [n, n_inputs]; used in place when C-contiguous and of the network's dtype.
        y : array_like
            Integer classes [n], or targets [n, n_outputs] ([n] for one output).
        epochs : int
            Passes over the rows.
        validation_data : (array_like, array_like), optional
            Evaluated after each epoch.
        callbacks : sequence of Callback
            Called after each epoch; training stops when one returns true. `EarlyStopping`,
            `TargetLoss`, `GradientNorm`, `TimeLimit`, or any object as in `fastbp.callbacks`.
        progress : bool
            Whether to draw a progress bar on stderr.
        sample_weight : array_like, optional
            [n], >= 0: a step's loss is ``sum(sample_weight * row losses) / rows``.

        Returns
        -------
        History
            `Trainer.history`: these epochs and those before.

        Raises
        ------
        InputError, LabelError, ShapeError, DTypeError, ConfigError
            An argument cannot be used; nothing has changed.
        DivergenceError
            The loss or the weights stopped being finite. Network and trainer, but for the
            history, are back at the start of the last epoch whose first loss was finite: of
            this one or the one before. They are as they were before the call if its very first
            loss is not.
        LabelError
            Labels that another thread or a callback has changed are no classes any more. Network
            and trainer are back at the start of the epoch.
        KeyboardInterrupt
            The steps done so far stay, and `n_steps` counts them.
        BusyError
            Another call is training the network.
        """
        examples = self.network._examples(x, y, self._loss)
        weights = self._weights(sample_weight, examples[1])
        validation = self._validation(validation_data)
        epochs = _check.positive_int(epochs, "epochs")
        hooks = Callbacks(_check.callbacks(callbacks, "on_epoch_end"))
        progress = _check.flag(progress, "progress")
        with self._network._claim():
            hooks.call("on_fit_begin", self, x, y, validation_data)
            n = len(examples[0])
            rows = min(self._batch_size or n, n)
            run = self._runs.new(self._optimizer, rows, self._threads())
            fit = Fit(self, run, *examples, rows, validation, weights, hooks)
            with progress_bar(progress, epochs, fit.steps) as bar:
                fit.epochs(epochs, bar)
            self._runs.ended(run)
        return self._history

    def step(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Do one step on these rows, as one batch; see `fit` for the arguments.

        Returns
        -------
        float
            The mean loss of the rows before the step.

        Raises
        ------
        InputError, LabelError, ShapeError, DTypeError
            An argument cannot be used; nothing has changed.
        DivergenceError
            The loss is not finite; the weights are as they were before the call.
        BusyError
            Another call is training the network.
        """
        x, y = self.network._examples(x, y, self._loss)
        weights = self._weights(sample_weight, y)
        with self._network._claim():
            rates = self._optimizer.learning_rates(self.n_steps, 1, self._history.epochs)
            rows: int = x.shape[0]
            run = self._runs.of_step(self._optimizer, rows, self._threads())
            run.bind(x, y, weights)
            loss, _, done = run.steps(0, 1, rates)
            if not done and run.fault == "label":
                raise _check.changed_labels(y, self._network.n_outputs)
            if not done:
                raise diverged(self._network, x, None, self.n_steps, float(rates[0]))
            return loss / rows

    def __repr__(self) -> str:
        """Return the network and the options."""
        return (
            f"Trainer({self.network!r}, {self._loss.shown}, {self.optimizer!r}, "
            f"batch_size={self._batch_size}{self._runs.objective})"
        )

    def _threads(self) -> int:
        return self._n_threads or get_num_threads()


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"optimizer: got {optimizer!r}, wanted one such as SGD(...)")
    return optimizer
