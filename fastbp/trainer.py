"""The trainer: fits a network to data with an optimizer, epoch by epoch or step by step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _frames, _labels
from ._check import Weights
from ._parameters import name_of, pairs_of
from .callbacks import Callback
from .datasets import split
from .engine.arrays import all_finite
from .engine.contention import FITS
from .engine.model import Model
from .engine.rows import Rows
from .engine.run import gradient_of_form
from .engine.runtime import get_num_threads
from .errors import ConfigError, CorruptModelError, InputError, brief
from .formats import checkpoint, modelfile
from .history import History
from .losses import Loss, LossFunction, mean, total_weight
from .metrics import MetricFunction
from .metrics import resolve as metrics_of
from .network import Gradients, Names, Network, network_of
from .optimizers import LBFGS, SGD, LearningRate, Optimizer
from .training.accumulated import AccumulatedRun, OpenStep
from .training.batches import MOST_ROWS, Batches, BatchFit, Checked
from .training.divergence import diverged
from .training.fit import HOOKS, Callbacks, Epochs, Fit, StopRequest, progress_bar
from .training.lbfgs import Minimization
from .training.objective import Objective
from .training.runs import Runs
from .training.state import Moment, TrainingState

__all__ = ["Trainer"]

Batch = tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike]
BatchSource = Iterable[Batch] | Callable[[], Iterable[Batch]]


class Trainer:
    """Trains a network by backpropagation.

    All options but loss and seed are attributes too. They may be assigned between two calls, are
    checked as here and count from the next call on; while a call trains the network, assigning is
    a `BusyError`.

    Parameters
    ----------
    network : Network
        Trained in place.
    loss : str, Loss or callable
        A name, a loss with options, such as ``fb.losses.Huber(0.5)``, or a function of your own:
        see `fastbp.losses`. The mean over rows is minimised, weighted by `sample_weight`.
    optimizer : Optimizer, optional
        `SGD`, `Adagrad`, `RMSprop`, `Adam`, `AdamW` or `LBFGS`. Default: ``SGD(0.1)``.
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
        Weights by label in `fit` and `step`, 1 for a class left out; "balanced" gives each class
        the same share of the rows of the call. Needs targets that are classes. They weigh the
        validation data of `fit` too, loss, accuracy and metrics; with "balanced" by the rows of
        that data. `evaluate` does not use them.
    average : {"weights", "rows"}
        What the weighted sum of a step's gradients is divided by: the sum of the weights of its
        rows, so that the gradient is that of the weighted mean as in PyTorch and scikit-learn, or
        the number of its rows, so that a row of weight 2 moves the network twice as far as one of
        weight 1 wherever it is. Reported losses are weighted means with both.
    metrics : sequence of str or callable
        Names as in `fastbp.metrics`, or functions of your own ``f(y, outputs)``. `evaluate`
        measures them, and `fit` after each epoch: on the validation data, as "val_f1"; without
        validation data on the training rows, as "f1", but not on batches that come one by one.
    accumulate : int
        Batches of a step, in the memory of one: their gradients are added up for one update. Of
        arrays `fit` takes ``accumulate * batch_size`` rows for each step, the last ones of an epoch
        may be fewer, and the result has the bits of a batch of so many rows; parts of 256 rows are
        in memory at a time. Of batches that come one by one, and in calls of `step`, the gradients
        of the sums over the rows of each batch are added in their order, and then divided by the
        sum of the weights (see `average`): a batch of all these rows up to rounding. An epoch of
        batches ends with an update, of as many as are left. History, schedules and `n_steps` count
        updates.

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
        class_weight: _check.ClassWeight = None,
        average: str = "weights",
        metrics: Sequence[str | MetricFunction] = (),
        accumulate: int = 1,
    ) -> None:
        if not isinstance(network, Network):
            raise ConfigError(f"network: got {brief(network)}, wanted a Network")
        optimizer = _checked(SGD(0.1) if optimizer is None else optimizer)
        self._loss = network._loss(loss)
        self._batch_size = _check.optional_int(batch_size, "batch_size")
        limits = clip_value, clip_norm, max_norm
        self._objective = Objective(l1, l2, penalize_bias, *limits, average)
        self._shuffle = _check.flag(shuffle, "shuffle")
        seeds = np.random.SeedSequence(_check.seed(seed))
        # Of a child: two words that tell nothing about the shuffling.
        dropout_seed = int(seeds.spawn(1)[0].generate_state(1, np.uint64)[0])
        self._state = TrainingState(network, optimizer, np.random.SFC64(seeds), dropout_seed)
        self._runs = Runs(self._state, self._loss, self._objective)
        self._runs.accumulate = _check.positive_int(accumulate, "accumulate")
        self._n_threads = _check.optional_int(n_threads, "n_threads")
        self._class_weight = _check.class_weight(class_weight)
        self._metrics = metrics_of(metrics)
        self._begun: list[Callback] = []  # callbacks of `end_epoch`, until one stops training
        self._stop_requests: list[StopRequest] = []  # of the calls of `fit` that are running

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: no callbacks, and no call that is running."""
        return vars(self) | {"_begun": [], "_stop_requests": []}

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign; a name that means nothing here is an AttributeError."""
        _check.attribute(self, name)
        super().__setattr__(name, value)

    @property
    def network(self) -> Network:
        """The network; a trainer trains no other."""
        return self._state.network

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
        return self._state.optimizer

    @optimizer.setter
    def optimizer(self, value: Optimizer) -> None:
        with self.network._claim():
            self._state.optimizer = _checked(value)

    @property
    def batch_size(self) -> int | None:
        """Rows per step; None: all rows, in their order."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int | None) -> None:
        value = _check.optional_int(value, "batch_size")
        with self.network._claim():
            self._batch_size = value

    @property
    def accumulate(self) -> int:
        """Batches of a step."""
        return self._runs.accumulate

    @accumulate.setter
    def accumulate(self, value: int) -> None:
        value = _check.positive_int(value, "accumulate")
        with self.network._claim():
            self._runs.accumulate = value

    @property
    def shuffle(self) -> bool:
        """Whether each epoch takes the rows in a new random order."""
        return self._shuffle

    @shuffle.setter
    def shuffle(self, value: bool) -> None:
        value = _check.flag(value, "shuffle")
        with self.network._claim():
            self._shuffle = value

    @property
    def n_threads(self) -> int | None:
        """Most threads of a step; None: `get_num_threads` at the time of training."""
        return self._n_threads

    @n_threads.setter
    def n_threads(self, value: int | None) -> None:
        value = _check.optional_int(value, "n_threads")
        with self.network._claim():
            self._n_threads = value

    @property
    def class_weight(self) -> _check.ClassWeight:
        """Weights of the classes in `fit` and `step`; a copy, if it is a dict."""
        weight = self._class_weight
        return dict(weight) if isinstance(weight, dict) else weight

    @class_weight.setter
    def class_weight(self, value: _check.ClassWeight) -> None:
        value = _check.class_weight(value)
        with self.network._claim():
            self._class_weight = value

    @property
    def average(self) -> str:
        """What the weighted sum of a step's gradients is divided by: "weights" or "rows"."""
        return self._objective.average

    @average.setter
    def average(self, value: str) -> None:
        with self.network._claim():
            self._objective.average = value

    @property
    def metrics(self) -> list[str | MetricFunction]:
        """Names and functions of what is measured besides the loss."""
        return [metric.given for metric in self._metrics]

    @metrics.setter
    def metrics(self, value: Sequence[str | MetricFunction]) -> None:
        found = metrics_of(value)
        with self.network._claim():
            self._metrics = found

    @property
    def l1(self) -> float:
        """Factor of the sum of absolute weights in what is minimised."""
        return self._objective.hyperparameters["l1"]

    @l1.setter
    def l1(self, value: float) -> None:
        with self.network._claim():
            self._objective.change(l1=value)

    @property
    def l2(self) -> float:
        """Factor of the sum of squared weights in what is minimised."""
        return self._objective.hyperparameters["l2"]

    @l2.setter
    def l2(self, value: float) -> None:
        with self.network._claim():
            self._objective.change(l2=value)

    @property
    def penalize_bias(self) -> bool:
        """Whether the penalties count biases too."""
        return bool(self._objective.hyperparameters["penalize_bias"])

    @penalize_bias.setter
    def penalize_bias(self, value: bool) -> None:
        with self.network._claim():
            self._objective.change(penalize_bias=value)

    @property
    def clip_value(self) -> float | None:
        """Bound of every element of the gradient, or None."""
        return self._objective.hyperparameters.get("clip_value")

    @clip_value.setter
    def clip_value(self, value: float | None) -> None:
        with self.network._claim():
            self._objective.change(clip_value=value)

    @property
    def clip_norm(self) -> float | None:
        """Bound of the norm of the whole gradient, or None."""
        return self._objective.hyperparameters.get("clip_norm")

    @clip_norm.setter
    def clip_norm(self, value: float | None) -> None:
        with self.network._claim():
            self._objective.change(clip_norm=value)

    @property
    def max_norm(self) -> float | None:
        """Bound of the norm of the weights into each unit, or None."""
        return self._objective.hyperparameters.get("max_norm")

    @max_norm.setter
    def max_norm(self, value: float | None) -> None:
        with self.network._claim():
            self._objective.change(max_norm=value)

    @property
    def history(self) -> History:
        """All epochs so far."""
        return self._state.history

    @property
    def n_steps(self) -> int:
        """Steps done so far."""
        return self._state.steps.n

    @property
    def row_weights(self) -> NDArray[np.float64] | None:
        """For callbacks: the weights of the losses of the rows of the running `fit`, [n], or None.

        They are `sample_weight` times the weights of the classes; None if there are neither, and
        for batches.
        """
        return self._state.moment.row_weights

    def fit(
        self,
        x: ArrayLike | BatchSource,
        y: ArrayLike | None = None,
        epochs: int = 1,
        validation_data: Batch | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
        sample_weight: ArrayLike | None = None,
        validation_split: float | None = None,
    ) -> History:
        """Train for some epochs; called again, go on where the last call ended.

        Parameters
        ----------
        x : array_like
            Rows [n, n_inputs]; used in place when C-contiguous and of float32, float64, bool or
            an integer type. A sparse matrix of SciPy is never made dense whole. Of a data frame the
            columns must be numbers or bools; their names
            become `Network.columns`. Without a `y`, an iterable of batches ``(x, y)`` or
            ``(x, y, sample_weight)`` of any sizes, which is gone through once for each epoch, or
            a function that returns one for each epoch; a batch is a step, in the given order.
        y : array_like, optional
            Labels [n], or targets [n, n_outputs] ([n] for one output). Labels are the integers
            0..n_outputs - 1, or strings, bools, categories, other integers or whole floats, which
            become `Network.classes`: all classes must occur then, or have been named there before.
        epochs : int
            Passes over the rows.
        validation_data : tuple of array_like, optional
            ``(x, y)`` or ``(x, y, sample_weight)``, evaluated after each epoch.
        callbacks : sequence of Callback
            Called after each epoch; training stops when one returns true. `EarlyStopping`,
            `TargetLoss`, `GradientNorm`, `TimeLimit`, a function of ``(trainer, history)``, or any
            object as in `fastbp.callbacks`.
        progress : bool
            Whether to draw a progress bar on stderr.
        sample_weight : array_like, optional
            [n], >= 0, not all 0: a step's loss is the mean weighted by those of its rows,
            ``sum(sample_weight * row losses) / sum(sample_weight)``; see `average`. Rows of
            weight 0 have no influence: their targets may be NaN, their labels anything, such as
            -1. A step whose rows all have weight 0 has the gradient 0.
        validation_split : float, optional
            The share of the rows that is held out for validation, in place of `validation_data`.
            The seed chooses them, the same ones in each call with as many rows; of two classes or
            more each has its share. The rows that are left are copied.

        Returns
        -------
        History
            `Trainer.history`: these epochs and those before.

        Raises
        ------
        InputError, LabelError, ShapeError, DTypeError, ConfigError
            An argument cannot be used; nothing has changed. A batch cannot be used, in which case
            the message has its index, or the learning rate of a later step is no finite number
            >= 0: network and trainer are back at the start of the epoch. So they are after any
            other error of a schedule, a loss of your own or ``on_region_end``.
        DivergenceError
            The loss, the weights or the optimizer's state stopped being finite. Network and
            trainer, but for the history, are back at the start of the last epoch whose first loss
            was finite: of this one or the one before. They are as they were before the call if its
            very first loss is not.
        LabelError
            Labels that another thread or a callback has changed are no classes any more. Network
            and trainer are back at the start of the epoch.
        KeyboardInterrupt
            The steps done so far stay, and `n_steps` counts them.
        BusyError
            Another call is training the network.
        """
        with (
            self._stoppable() as stop_request,
            self.network._claim(),
            FITS.entered(get_num_threads()),
        ):
            epochs = _check.positive_int(epochs, "epochs")
            given: Checked | Batches
            names = self.network._names
            if y is None:
                given = self._batches(x, epochs, sample_weight, validation_split)
            else:
                if validation_split is not None:
                    x, y, sample_weight, validation_data = self._held_out(
                        x, y, sample_weight, validation_data, validation_split
                    )
                given, names = self._examples(cast(ArrayLike, x), y, sample_weight, whole=True)
            measure = self._measured(given, y, validation_data, names)
            called = Callbacks(self, _check.callbacks(callbacks, HOOKS), stop_request)
            progress = _check.flag(progress, "progress")
            rows, weights = (None, None) if isinstance(given, Batches) else given[1:]
            moment = self._moment(rows, weights, validation_data is not None, called)
            with self._named(names), moment, self._averaged():
                called.call("on_fit_begin", x, y, validation_data)
                fit = self._fit(given, measure, called)
                with progress_bar(progress, epochs, fit.steps) as bar:
                    fit.epochs(epochs, bar)
                if isinstance(fit, Epochs):
                    self._runs.ended(fit.run)
        return self._state.history

    def stop(self, reason: str = "stop") -> None:
        """End the running `fit` after the step that it is doing, as a callback that stops does.

        It may be called from any thread, a callback or a signal handler, and returns at once. Like
        an interrupt it ends training within about 50 ms, or drops a longer step that has not
        begun to change weights; but `fit` returns as at its end: the epoch so far is recorded and
        validated, `EarlyStopping` puts the best weights back, and all callbacks are told. A
        validation that is running is not cut short. If no step of the epoch was done, it is not
        recorded. The next `fit` goes on from there with a new epoch.

        If no `fit` of this trainer is running, nothing happens, and later calls are not affected.
        A call that is still checking its arguments is running, and ends before its first step.

        Parameters
        ----------
        reason : str
            What `History.stopped` says then.

        Raises
        ------
        ConfigError
            The reason is no text, or empty.

        Examples
        --------
        Let Ctrl-C end training without an exception:

        >>> import signal
        >>> import fastbp as fb
        >>> network = fb.Network(2, [fb.Dense(1, "sigmoid")], seed=0)
        >>> trainer = fb.Trainer(network, "binary_cross_entropy")
        >>> before = signal.signal(signal.SIGINT, lambda *_: trainer.stop("Ctrl-C"))
        >>> rows, labels = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1]
        >>> ctrl_c = lambda trainer, history: signal.raise_signal(signal.SIGINT)
        >>> trainer.fit(rows, labels, epochs=10**6, callbacks=[ctrl_c]).stopped
        'Ctrl-C'
        >>> _ = signal.signal(signal.SIGINT, before)
        """
        text = _check.text(reason)
        if not text:
            raise ConfigError(f"reason: got {brief(reason)}, wanted a text")
        for request in tuple(self._stop_requests):
            request.reason = request.reason or text

    def step(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Do one step on these rows, as one batch; see `fit` for the arguments.

        Steps are no epoch until `end_epoch` says so. With `accumulate` the last one of so many
        calls does the update of all their rows; a checkpoint in between holds what is added up so
        far. A `fit` begins a new step.

        Returns
        -------
        float
            The mean loss of the rows before the step, weighted by their weights; NaN if all are 0.

        Raises
        ------
        InputError, LabelError, ShapeError, DTypeError, ConfigError
            An argument, or the learning rate, cannot be used; nothing has changed.
        DivergenceError
            The loss is not finite, or the weights or the optimizer's state would not be after the
            step; everything is as it was before the call.
        BusyError
            Another call is training the network.
        """
        state = self._state
        if isinstance(state.optimizer, LBFGS):
            raise ConfigError("optimizer: got LBFGS in step, wanted fit, or another optimizer")
        network = state.network
        with network._claim():
            (examples, y, weights), names = self._examples(x, y, sample_weight)
            if self.accumulate > 1:
                loss = self._part_of_step(examples, y, weights)
                network._names = names
                return loss
            begin = perf_counter()
            state.watch()
            rates = state.optimizer.learning_rates(state.steps.n, 1, state.history.epochs)
            run, good = self._runs.of_step(len(examples), self._threads())
            assert not isinstance(run, AccumulatedRun)
            run.bind(examples, y, weights)
            # The first step of an epoch takes a snapshot: it may be the only one.
            run.guards = state.open_epoch.steps > 0
            if run.done < 2 or state.averagings:  # later steps begin alike
                good.begin(False)
            loss, correct, done = run.steps(0, 1, rates)
            if not done and run.fault == "label":
                raise _check.changed_labels(y, network.n_outputs, weights)
            rate = float(rates[0])
            if not (done and (run.proved or good.live_is_finite())):
                step = state.steps.n - done
                try:
                    raise diverged(network, examples, y, None, step, rate, bool(done))
                finally:
                    if done:
                        self._runs.undo_step()
            sums = loss, correct, run.weight
            state.open_epoch.add(sums, y.ndim == 1, rate, perf_counter() - begin)
            network._names = names
            return mean(loss, run.weight)

    def _part_of_step(
        self, x: _check.AnyRows, y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> float:
        """Add the gradient of a checked batch, and do the update if the step is complete."""
        state, begin = self._state, perf_counter()
        network, step = state.network, state.open_step
        state.watch()
        rates = state.optimizer.learning_rates(state.steps.n, 1, state.history.epochs)
        run, good = self._runs.of_step(len(x), self._threads())
        assert isinstance(run, AccumulatedRun)
        last, number, rate = step.parts + 1 >= self.accumulate, state.steps.n, float(rates[0])
        run.mark()
        try:
            loss, correct, done = run.add(x, y, weights)
            if not done and run.fault == "label":
                raise _check.changed_labels(y, network.n_outputs, weights)
            if not done:
                raise diverged(network, x, y, None, number, rate)
            if last:
                good.begin(False)
                run.close(rates, snapshot=True)
                if not good.live_is_finite():
                    try:
                        raise diverged(network, x, y, None, number, rate, True)
                    finally:
                        self._runs.undo_step()
        except BaseException:  # an interrupt as well
            if state.steps.n > number:
                step.clear()  # the update is done
            else:
                run.to_mark()
            raise
        sums, seconds = (loss, correct, run.weight), perf_counter() - begin
        shown = rate if last else state.open_epoch.rate
        state.open_epoch.add(sums, y.ndim == 1, shown, seconds, steps=int(last))
        return mean(loss, run.weight)

    def apply_gradients(self, gradients: Gradients | ArrayLike) -> None:
        """Do one step by gradients of your own: of a critic, of several networks, of a server.

        All but the gradient is as in `step`: the optimizer and its learning rate, penalties, clips
        and `max_norm`, layers that are not `trainable` and factors of layers, and `n_steps`. After
        ``_, gradients = network.gradients(x, y, loss)`` the weights have the bits that
        ``step(x, y)`` gives them, without dropout; with `clip_norm` or `max_norm` the last digits
        of the norms may differ for batches of more than 128 rows.

        The loss is not known: in the record that `end_epoch` makes, such a step has no share in the
        means, which are NaN if there was no other.

        Parameters
        ----------
        gradients : list of (ndarray, ndarray), or array_like
            One pair (dW, db) per entry of `Network.weighted_layers`, as `Network.gradients` and
            `Network.gradients_from` return them; or one array [n_parameters] in the order of
            `Network.parameters`. Those of layers that are not trained are not looked at further.

        Raises
        ------
        InputError, ShapeError, DTypeError, ConfigError
            The gradients, or the learning rate, cannot be used; nothing has changed.
        DivergenceError
            The weights or the optimizer's state would not be finite after the step; everything is
            as it was before the call.
        BusyError
            Another call is training the network.
        """
        state = self._state
        if isinstance(state.optimizer, LBFGS):
            raise ConfigError(
                "optimizer: got LBFGS in apply_gradients, wanted another optimizer: its steps need "
                "the loss"
            )
        network = state.network
        with network._claim():
            gradient = self._gradient(gradients)
            begin = perf_counter()
            state.watch()
            rates = state.optimizer.learning_rates(state.steps.n, 1, state.history.epochs)
            run, good = self._runs.of_step(1, self._threads())
            good.begin(False)
            run.apply(gradient, rates)
            rate = float(rates[0])
            if not good.live_is_finite():
                try:
                    raise diverged(network, None, None, None, state.steps.n - 1, rate, True)
                finally:
                    self._runs.undo_step()
            labels = state.open_epoch.labels
            state.open_epoch.add((0.0, 0.0, 0.0), labels, rate, perf_counter() - begin)

    def end_epoch(
        self,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> str | None:
        """End an epoch in a loop of `step`: record it, move the schedules, ask the callbacks.

        The epoch is that of the steps since the last one: its loss, and in classification its
        accuracy, are means over their rows. Schedules with ``per="epoch"`` and `ReduceOnPlateau`
        take it for an epoch of `fit`.

        Parameters
        ----------
        validation_data : (array_like, array_like), optional
            Evaluated now.
        callbacks : sequence of Callback
            As for `fit`. An object's ``on_fit_begin(trainer, None, None, validation_data)`` is
            called when it is given for the first time since training was stopped. So give the same
            objects at the end of each epoch.

        Returns
        -------
        str or None
            Why a callback stops training: `EarlyStopping` has put the best weights back, and all
            have been told the end. None if none does.

        Raises
        ------
        InputError, LabelError, ShapeError, DTypeError, ConfigError
            An argument cannot be used, or there was no step since the last epoch; nothing has
            changed.
        BusyError
            Another call is training the network.

        Examples
        --------
        >>> import fastbp as fb
        >>> network = fb.Network(2, [fb.Dense(1, "sigmoid")], seed=0)
        >>> trainer = fb.Trainer(network, "binary_cross_entropy", fb.SGD(1.0))
        >>> stop = [fb.TargetLoss(0.5)]
        >>> for epoch in range(100):
        ...     for _ in range(4):
        ...         loss = trainer.step([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1])
        ...     if trainer.end_epoch(callbacks=stop):
        ...         break
        >>> trainer.history["loss"][-1] <= 0.5
        True
        """
        with ExitStack() as stack:
            stack.enter_context(self.network._claim())
            measure = self._measured(None, None, validation_data, self.network._names)
            given = _check.callbacks(callbacks, HOOKS)
            called, state, done = Callbacks(self, given), self._state, self._state.open_epoch
            if not done.steps:
                raise ConfigError(
                    "end_epoch: got no step since the last epoch, wanted at least one"
                )
            y = np.empty(0 if done.labels else (0, 1), int)
            stack.enter_context(self._moment(y, None, validation_data is not None, called))
            new = [one for one in given if not any(one is old for old in self._begun)]
            begun = Callbacks(self, new)
            begun.call("on_fit_begin", None, None, validation_data)
            if state.in_loop and not self._begun:  # the loop was begun by what this is a copy of
                begun.resume_states = state.unfinished
            self._begun += new
            found = self._loss._means(*done.sums, y)
            record = {**found, "learning_rate": done.rate, "seconds": done.seconds, **measure()}
            state.moment.measured = found.keys()
            single = done.steps == 1 and self.accumulate == 1
            state.moment.before_step = self._runs.before_step() if single else None
            state.record(record)
            state.in_loop = True
            state.history.stopped = called.end_epoch(state)
            state.in_loop = not state.history.stopped
            if state.history.stopped:
                self._begun = []
                called.end(state)
            else:
                called.call("on_checkpoint", state.history)
        return state.history.stopped

    def evaluate(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> dict[str, float]:
        """Return "loss", "accuracy" in classification, and the `metrics`, as means over these rows.

        With `sample_weight`, [n], >= 0, not all 0, all are weighted means, and rows of weight 0
        have no influence.

        Raises
        ------
        InputError, LabelError, ShapeError, DTypeError
            An argument cannot be used.
        """
        rows: _check.AnyRows | _check.Blocks | None = self.network._mapped(x)
        if rows is None:
            rows, t, weights = self.network._weighted_examples(x, y, self._loss, sample_weight)
        else:
            t, weights = self.network._weighted_targets(y, len(rows), self._loss, sample_weight)
        return self._measure(rows, t, weights, y)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trainer to a checkpoint file; `Trainer.load` reads it back.

        The file is as that of `Network.save`, and written as safely: safetensors with a checksum.
        It holds the network, the options, the optimizer and what it remembers, the schedule, the
        random state and the history; of a loss, a learning rate or a metric that is your own
        function it holds the name. `fastbp.load` reads the network from it.

        Raises
        ------
        ConfigError
            The optimizer is of a class of your own, or `Network.metadata` no strings.
        OSError
            The folder does not exist, is not writable or is full.
        BusyError
            A call of another thread is training the network. In a callback, save in
            ``on_checkpoint``.
        """
        modelfile.write(path, *self._packed())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        loss: LossFunction | None = None,
        learning_rate: LearningRate | None = None,
        metrics: Sequence[MetricFunction] | None = None,
    ) -> Trainer:
        """Return the trainer that `save` wrote to `path`; it goes on to the same bits.

        Parameters
        ----------
        path : path-like
            Of the file.
        loss, learning_rate : callable, optional
            The functions that the trainer had, if they were your own.
        metrics : sequence of callable, optional
            Those of its metrics that were your own functions, by the names that they had.

        Raises
        ------
        CorruptModelError
            The file is not a whole, unchanged checkpoint of fastbp.
        ConfigError
            A function of your own is missing, or one is given that the trainer did not have.
        OSError
            The file does not exist or cannot be read.
        """
        architecture, tensors, training, rest = modelfile.read_checkpoint(path)
        network = network_of(path, architecture, tensors)
        checkpoint.require_given(path, training, loss=loss, learning_rate=learning_rate)
        measured = checkpoint.metrics_of(path, training, metrics)
        try:
            optimizer = checkpoint.optimizer_of(training["optimizer"], learning_rate)
            loss_or_own = loss or checkpoint.loss_of(training["loss"])
            options = training["options"]
            if isinstance(options["class_weight"], list):  # JSON has dicts by strings alone
                options["class_weight"] = dict(options["class_weight"])
            trainer = cls(network, loss_or_own, optimizer, metrics=measured, **options)
            trainer._state.unpack(training["state"], rest)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
                ValueError) as error:  # fmt: skip
            raise CorruptModelError(f"{path} describes no usable trainer: {error}") from error
        return trainer

    def _packed(self) -> tuple[dict[str, Any], modelfile.Tensors, dict[str, Any]]:
        """Return what a file holds: of the network, all tensors, and of the training."""
        network = self.network
        with network._model.quiet():
            described, tensors = self._state.pack()
            training = {
                "version": checkpoint.VERSION,
                "loss": checkpoint.describe_loss(self._loss),
                "metrics": checkpoint.describe_metrics(self._metrics),
                "optimizer": checkpoint.describe_optimizer(self.optimizer),
                "options": self._options(),
                "state": described,
            }
            return network._architecture(), network._tensors() | tensors, training

    def _options(self) -> dict[str, Any]:
        """Return the options besides loss and optimizer, as the constructor takes them."""
        weight = self._class_weight
        return self._objective.hyperparameters | {
            "batch_size": self._batch_size,
            "shuffle": self._shuffle,
            "n_threads": self._n_threads,
            "class_weight": list(weight.items()) if isinstance(weight, dict) else weight,
            "average": self._objective.average,
            "accumulate": self.accumulate,
        }

    def __repr__(self) -> str:
        """Return the network and the options."""
        rest: dict[str, Any] = {"n_threads": self._n_threads, "class_weight": self._class_weight}
        shown = [f", {name}={value!r}" for name, value in rest.items() if value is not None]
        if self._metrics:
            shown.append(f", metrics=[{', '.join(metric.shown for metric in self._metrics)}]")
        if self.accumulate > 1:
            shown.insert(0, f", accumulate={self.accumulate}")
        if not self._shuffle:
            shown.insert(0, ", shuffle=False")
        return (
            f"Trainer({self.network!r}, {self._loss.shown}, {self.optimizer!r}, "
            f"batch_size={self._batch_size}{self._objective}{''.join(shown)})"
        )

    def _measured(
        self, given: Checked | Batches | None, y: ArrayLike | None, data: Batch | None, names: Names
    ) -> Callable[[], dict[str, float]]:
        """Return a call that measures the network on checked validation data, if there are any.

        Without them it measures the metrics on the training rows, which were given with the
        targets `y`, if there are any of both. `names` are those of the training rows.
        """
        if data is not None:
            if not isinstance(data, tuple | list) or len(data) not in (2, 3):
                size = f" of {len(data)}" if isinstance(data, tuple | list) else ""
                raise ConfigError(
                    f"validation_data: got a {type(data).__name__}{size}, wanted a pair (x, y), or "
                    "(x, y, sample_weight)"
                )
            x, t, *weights = data
            sample_weight = weights[0] if weights else None
            rows, _ = self._examples(x, t, sample_weight, True, "validation ", names)
            self._require_metrics(rows[1])
            return lambda: {f"val_{k}": value for k, value in self._measure(*rows, t).items()}
        if given is None or isinstance(given, Batches) or not self._metrics:
            return dict
        checked = given
        self._require_metrics(checked[1])
        wanted = {metric.name for metric in self._metrics}
        return lambda: {k: v for k, v in self._measure(*checked, y).items() if k in wanted}

    def _require_metrics(self, y: NDArray[Any]) -> None:
        network, exclusive = self.network, self._loss.exclusive
        for metric in self._metrics:
            metric.require(y, network.n_outputs, exclusive, network.layers[-1].activation)

    def _held_out(
        self, x: Any, y: Any, sample_weight: Any, validation_data: Any, fraction: float
    ) -> tuple[Any, Any, Any, Any]:
        """Return rows, targets and weights to train on, and the others as validation data."""
        if validation_data is not None:
            raise ConfigError("validation_split: got one beside validation_data, wanted either")
        x, y = split.rows(x, "x"), split.rows(y, "y")
        n = split.count(x, y)
        # The seed of dropout never changes and is saved: rows held out once are so for good.
        seed = np.random.SeedSequence(self._state.dropout_seed, spawn_key=(0,))
        rng = np.random.Generator(np.random.PCG64(seed))
        strata = _labels.strata(y, self.network.n_outputs)
        train, held = split.parts(n, fraction, rng, strata, "validation_split")
        (x, xv), (y, yv) = ([_frames.taken(a, rows) for rows in (train, held)] for a in (x, y))
        if sample_weight is None:
            return x, y, None, (xv, yv)
        whole = _check.weights(
            sample_weight, len(train) + len(held), self.network.dtype, "sample_weight"
        )
        return x, y, whole[train], (xv, yv, whole[held])

    def _measure(
        self, x: _check.AnyRows | _check.Blocks, y: NDArray[Any], weights: Weights, given: Any
    ) -> dict[str, float]:
        """Measure the network on checked rows; `given` are the targets before they were checked."""
        model, loss, n_threads = self.network._model, self._loss, self._threads()
        if not self._metrics:
            sums = loss._evaluate(model, x, y, weights, n_threads)
            return loss._means(*sums, total_weight(weights, len(x)), y)
        self._require_metrics(y)
        outputs = np.empty((len(x), model.n_outputs), model.dtype)
        sums = loss._evaluate(model, x, y, weights, n_threads, outputs)
        found = loss._means(*sums, total_weight(weights, len(x)), y)
        options = {"threshold": loss.threshold, "exclusive": loss.exclusive}
        if y.ndim == 2:
            y = _unrounded(given, y)
        for metric in self._metrics:
            if metric.name not in found:
                found[metric.name] = metric.measure(y, outputs, weights, **options)
        return found

    @contextmanager
    def _stoppable(self) -> Iterator[StopRequest]:
        """Let `stop` end a call of `fit`."""
        request = StopRequest()
        try:
            self._stop_requests.append(request)
            yield request
        finally:
            if request in self._stop_requests:  # no interrupt has come before
                self._stop_requests.remove(request)

    @contextmanager
    def _moment(
        self,
        y: NDArray[Any] | None,
        weights: NDArray[np.float64] | None,
        validated: bool,
        called: Callbacks,
    ) -> Iterator[None]:
        """Let the rules know what the epochs of a call will have; refuse a schedule in vain."""
        columns = None
        if y is not None and not called.own:
            measured = self._loss._means(0.0, 0.0, 1.0, y)
            metrics = {metric.name for metric in self._metrics}
            after = {f"val_{n}" for n in (*measured, *metrics)} if validated else metrics
            columns = {*measured, *after, "learning_rate", "seconds"}
        self.optimizer.require(columns, validated)
        self._state.moment = Moment(columns, weights)
        try:
            yield
        finally:
            self._state.moment = Moment()

    def _batches(
        self,
        source: Any,
        epochs: int,
        sample_weight: ArrayLike | None,
        validation_split: float | None,
    ) -> Batches:
        if sample_weight is not None:
            raise ConfigError(
                "sample_weight: got one beside batches, wanted batches of (x, y, sample_weight)"
            )
        if validation_split is not None:
            raise ConfigError("validation_split: got one for batches, wanted validation_data")
        return Batches(source, epochs, self._batch)

    def _batch(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Checked:
        """Return a batch as the engine takes it; the first one names the classes."""
        checked, self.network._names = self._examples(x, y, sample_weight)
        return checked

    @contextmanager
    def _named(self, names: Names) -> Iterator[None]:
        """Give the network the names of what it is trained on, to keep if a step was done."""
        network, before, n_steps = self.network, self.network._names, self.n_steps
        network._names = names
        try:
            yield
        finally:
            if self.n_steps == n_steps:
                network._names = before

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Let those averages follow the steps of a call of `fit` that are given to it."""
        self._state.averagings = {}
        try:
            yield
        finally:
            self._state.averagings = {}

    def _fit(
        self,
        given: Checked | Batches,
        measure: Callable[[], dict[str, float]],
        called: Callbacks,
    ) -> Epochs | Minimization:
        """Return the epochs on rows, or on batches, that were checked."""
        state, loss = self._state, self._loss
        if isinstance(state.optimizer, LBFGS):
            return self._minimization(given, measure, called)
        if isinstance(given, Batches):
            run = self._runs.new(MOST_ROWS, self._threads(), None, OpenStep())
            return BatchFit(state, loss, run, given, measure, called, self.accumulate)
        n = len(given[0])
        batch = min(self._batch_size or n, n)
        rows = min(batch * self.accumulate, n)
        run = self._runs.new(rows, self._threads(), batch)
        return Fit(state, loss, run, *given, rows, self._shuffle, measure, called)

    def _minimization(
        self,
        given: Checked | Batches,
        measure: Callable[[], dict[str, float]],
        called: Callbacks,
    ) -> Minimization:
        if isinstance(given, Batches):
            raise ConfigError("x: got batches with LBFGS, wanted x and y as arrays")
        if self._batch_size is not None and self._batch_size < len(given[0]):
            raise ConfigError(
                f"batch_size: got {self._batch_size} for {len(given[0])} rows with LBFGS, which "
                "takes all of them in each step, wanted None"
            )
        if self.accumulate > 1:
            raise ConfigError(
                f"accumulate: got {self.accumulate} with LBFGS, which takes all rows in each step, "
                "wanted 1"
            )
        state, n_threads = self._state, self._threads()
        return Minimization(state, self._loss, self._objective, *given, n_threads, measure, called)

    def _examples(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        whole: bool = False,
        prefix: str = "",
        names: Names | None = None,
    ) -> tuple[Checked, Names]:
        """Return rows, targets and weights of `fit` or a batch as the engine takes them, and names.

        `names` are those that are to hold, or the network's own.
        """
        network, loss, class_weight = self.network, self._loss, self._class_weight
        if sample_weight is None and class_weight is None:
            own = names or network._names
            small = network._small_examples(x, y, loss, own)
            if small is not None:
                apart = network._model.apart
                return (apart(small[0]), apart(small[1]), None), own
        rows, targets, weights, names = network._named_examples(
            x, y, loss, sample_weight, whole, prefix, names
        )
        rows, targets, weights = self._apart(rows, targets, weights)
        if isinstance(class_weight, dict):
            known = names.classes, network.n_outputs, loss.targets, network._activation
            class_weight = _labels.weights_by_target(class_weight, *known)
            if whole and not prefix and _labels.pair_of(loss.targets, network._activation) is None:
                _check.occurring(class_weight, targets)
        if class_weight is not None:
            weights = _check.row_weights(weights, class_weight, targets, whole)
        return (rows, targets, weights), names

    def _gradient(self, gradients: Any) -> Model:
        """Return checked gradients as the engine takes them."""
        network = self.network
        held = gradient_of_form(network._model)
        views = [array for layer in network.weighted_layers for array in layer._views(held)]
        nested = isinstance(gradients, list | tuple)
        if not (nested and any(isinstance(pair, list | tuple) for pair in gradients)):
            shape, begin = (network.n_parameters,), 0
            flat = _check.parameter(gradients, shape, network.dtype, "gradients")
            for view in views:
                view[...] = flat[begin : begin + view.size].reshape(view.shape)
                begin += view.size
            return held
        arrays, dtype = pairs_of(gradients, network.weighted_layers), network.dtype
        for i, (view, array) in enumerate(zip(views, arrays, strict=True)):
            if type(array) is not np.ndarray or array.dtype != dtype or array.shape != view.shape:
                array = _check.shaped(array, view.shape, dtype, name_of(i))
            view[...] = array
        if not all_finite(held.arena):
            for i, view in enumerate(views):
                if not np.isfinite(view).all():
                    raise InputError(_check.not_finite(view, name_of(i)))
        return held

    def _apart(self, rows: _check.AnyRows, targets: NDArray[Any], weights: Weights) -> Checked:
        """Return them, or copies where they are views of the weights that are to be trained."""
        model = self.network._model
        if not isinstance(rows, Rows):
            rows = model.apart(rows)
        elif (data := model.apart(rows.data)) is not rows.data:
            rows = rows.of(data)
        return rows, model.apart(targets), None if weights is None else model.apart(weights)

    def _threads(self) -> int:
        return FITS.bounded(self._n_threads or get_num_threads())


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"optimizer: got {brief(optimizer)}, wanted one such as SGD(...)")
    return optimizer


def _unrounded(given: Any, y: NDArray[Any]) -> NDArray[Any]:
    """Return targets as they were given if they are numbers, so that float32 does not round them.

    Labels that were given for one output are not those: `y` has what they stand for.
    """
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        return y
    array = array.astype(np.float64)
    if array.size != y.size:
        return y
    array = array.reshape(y.shape)
    with np.errstate(over="ignore"):
        same = array.astype(y.dtype) == y
    return np.where(same, array, y)
