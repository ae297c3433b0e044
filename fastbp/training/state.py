"""What training changes, and the state that it goes back to when it diverges."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine.arrays import all_finite
from ..engine.averaging import Averaging
from ..engine.run import OpenEpoch, Run, StepCount
from ..formats.modelfile import Tensors
from ..history import History
from ..layers import Weighted
from ..network import Network, _rebuilt
from ..optimizers import Optimizer
from .accumulated import AnySteps, OpenStep

__all__ = ["LastGood", "Moment", "OptimizerMemory", "TrainingState", "parameters_of"]

# The arrays of each `Optimizer.memory`, in their order in the engine.
MEMORY_PARTS: dict[str, tuple[str, ...]] = {
    "": (),
    "velocity": ("velocity",),
    "sum of squares": ("sum_of_squares",),
    "mean of squares": ("mean_of_squares",),
    "means": ("mean", "mean_of_squares"),
}


class Remembered(NamedTuple):
    """What an optimizer remembers, as a run of the engine goes on from it.

    Attributes
    ----------
    memory : str
        `Optimizer.memory`.
    begins : int
        The step before which it was zero.
    values : ndarray
        In the engine's layout.
    first : int
        The first step of the run.
    missed : tuple of int
        Steps before that one that each layer was frozen in, since all was zero; () is none.
    frozen : tuple of bool
        Whether each layer is frozen in the run; () if none is.
    """

    memory: str
    begins: int
    values: NDArray[Any]
    first: int = 0
    missed: tuple[int, ...] = ()
    frozen: tuple[bool, ...] = ()


class _Start(NamedTuple):
    """Where an epoch starts, besides the parameters and the live state of the optimizer.

    Attributes
    ----------
    steps : int
        Done.
    random : object
        State of the random generator, if the epoch draws from it, else None.
    progress : dict
        What a schedule has learnt.
    remembered : Remembered
        What the optimizer remembers: the live arrays, or those of before the run's first step.
    averages : list of (Averaging, ndarray)
        Copies of what follows the parameters.
    """

    steps: int
    random: Any
    progress: dict[str, Any]
    remembered: Remembered
    averages: list[tuple[Averaging, NDArray[Any]]]


class OptimizerMemory:
    """What an optimizer remembers of each parameter, from one run of the engine to the next."""

    def __init__(self) -> None:
        # One tuple, so that an interrupt leaves the old one or the new one: what is remembered,
        # then the run that goes on from it and what was remembered before that run.
        self._last: tuple[Remembered, Run | None, Remembered | None] = (
            Remembered("", 0, np.empty(0)),
            None,
            None,
        )

    @property
    def last(self) -> Remembered:
        """What the run that trained last goes on from, and its values as they are now.

        A run that has done no step, because its first loss was not finite or an interrupt came,
        leaves what was remembered before.
        """
        remembered, run, before = self._last
        return remembered if before is None or run is None or run.done else before

    @last.setter
    def last(self, value: Remembered) -> None:
        self._last = (value, None, None)

    def __getstate__(self) -> Remembered:
        """Return what is remembered, without the run."""
        return self.last

    def __setstate__(self, value: Remembered) -> None:
        """Remember it."""
        self.last = value

    def settle(self) -> None:
        """Let go of the run, and of the rows that it holds."""
        self.last = self.last

    @property
    def values(self) -> NDArray[Any]:
        """Of the run that trained last, in the layout of the engine."""
        return self.last.values

    def missed(self, n_steps: int) -> tuple[int, ...]:
        """Return the steps before `n_steps` that each layer was frozen in, since all was zero."""
        last = self.last
        if not last.frozen:
            return last.missed
        steps = n_steps - last.first
        missed = last.missed or (0,) * len(last.frozen)
        return tuple(m + f * steps for m, f in zip(missed, last.frozen, strict=True))

    def attach(
        self, run: Run, optimizer: Optimizer, n_steps: int, layers: Sequence[Weighted]
    ) -> None:
        """Let a new run, whose first step is `n_steps`, go on where the last one ended.

        An optimizer with another memory begins at zero. What Adam remembers of a layer has the age
        of the steps that the layer was trained in, as in PyTorch.
        """
        before = self.last
        same = optimizer.memory == before.memory
        begins = before.begins if same else n_steps
        missed = self.missed(n_steps) if same else ()
        if same:
            run.state[...] = before.values
        run.age = n_steps - begins
        if missed:
            for layer, steps in zip(layers, missed, strict=True):
                run.set_missed(layer._node, steps)
        frozen = tuple(not layer.trainable for layer in layers)
        now = Remembered(
            optimizer.memory, begins, run.state, n_steps, missed, frozen if any(frozen) else ()
        )
        self._last = (now, run, None if same else before)


class Moment:
    """What the rules may ask about the running call, and the epoch that has just ended.

    Attributes
    ----------
    columns : collection of str or None
        That the epochs of the call will have, as far as they are known before the first.
    row_weights : ndarray or None
        Of the losses of the rows, float64 [n].
    measured : collection of str
        Columns measured during the steps of the last epoch.
    before_step : ndarray or None
        If that epoch was a single step: the parameters from before it, with which all of `measured`
        were measured, in the layout of the engine.
    objective : tuple of float or None
        The mean over the rows of that epoch of what their steps minimised: loss and penalty; None
        if the run does not know.
    """

    def __init__(
        self,
        columns: Collection[str] | None = None,
        row_weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.columns, self.row_weights = columns, row_weights
        self.measured: Collection[str] = ()
        self.before_step: NDArray[Any] | None = None
        self.objective: tuple[float, float] | None = None


class Unchanged:
    """The last thing in a pickle: an error there if training has begun since the first.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        self._quiet = network._model.quiet()
        self._quiet.__enter__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuse what would hold numbers of two moments; leave nothing in the pickle."""
        self._quiet.__exit__(None, None, None)
        return type(None), ()


class TrainingState:
    """What training changes: all that a call of `fit` or `step` goes on from.

    It can be pickled and deep-copied, with a network of its own, between two calls and from a
    callback at the end of an epoch. Runs of the engine and their workspaces are not part of it.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
    generator : numpy.random.BitGenerator
    dropout_seed : int

    Attributes
    ----------
    network : Network
        Holds the parameters.
    optimizer : Optimizer
        Holds the schedule of the learning rate.
    generator : numpy.random.BitGenerator
        Shuffles.
    dropout_seed : int
        With the number of a step, what dropout is drawn from.
    memory : OptimizerMemory
    steps : StepCount
        Of all runs of the engine.
    history : History
    unfinished : dict of str to dict
        What the callbacks of a fit have found, as of the last epoch that all of them saw; empty
        when no fit has begun since one ended by itself.
    in_loop : bool
        Whether that is of a loop of `step`, for the next `end_epoch` after a copy.
    open_epoch : OpenEpoch
    open_step : OpenStep
        Of calls of `step` that accumulate gradients.
    n_watched : int
        Epochs that the schedule has been shown.
    averagings : dict of str to Averaging
        What follows the parameters, by the beginning of the columns that are measured with it; not
        part of a pickle or a file.
    moment : Moment
        Not part of a pickle or a file.
    region : int
        Steps between two returns from compiled code; no result depends on it.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        generator: np.random.BitGenerator,
        dropout_seed: int,
    ) -> None:
        self.network, self.optimizer, self.generator = network, optimizer, generator
        self.dropout_seed = dropout_seed
        self.memory, self.steps, self.history = OptimizerMemory(), StepCount(), History()
        self.unfinished: dict[str, dict[str, Any]] = {}
        self.in_loop = False
        self.open_epoch, self.n_watched, self.moment = OpenEpoch(), 0, Moment()
        self.open_step = OpenStep()
        self.averagings: dict[str, Averaging] = {}
        self.region = 1

    def record(self, epoch: dict[str, float]) -> None:
        """Put an epoch into the history; it is shown to the schedule by `watch`."""
        fresh = OpenEpoch()  # before the epoch is recorded: it may not fit into memory
        self.history.append(**epoch)
        self.open_epoch = fresh

    def watch(self) -> None:
        """Show the last epoch to the schedule, unless that has seen it.

        After an interrupt the schedule has seen it, or learnt nothing and is shown it before the
        next step. What else the schedule raises it would raise again: it is not shown it again.
        """
        epochs, before = self.history.epochs, self.n_watched
        if before == epochs:
            return
        progress = self.optimizer.progress
        try:
            self.optimizer.watch(self.history._last())
            self.n_watched = epochs
        except Exception:
            self.optimizer.progress, self.n_watched = progress, epochs
            raise
        finally:
            if self.n_watched == before:
                self.optimizer.progress = progress

    def weights_of(self, column: str) -> NDArray[Any]:
        """Return the parameters that a column of the last epoch belongs to, in the engine's layout.

        They are those at its end; but if it was a single step, and the column was measured in
        that, those from before the step. A view: copy it.
        """
        for begin, averaging in self.averagings.items():
            if column.startswith(begin):
                averaged: NDArray[Any] = averaging.model.arena
                return averaged
        moment = self.moment
        if moment.before_step is not None and column in moment.measured:
            return moment.before_step
        arena: NDArray[Any] = self.network._model.arena
        return arena

    def pack(self) -> tuple[dict[str, Any], Tensors]:
        """Return all but network and optimizer: what JSON can hold, and arrays by plain names."""
        memory, begins, values = self.memory.last[:3]
        tensors: Tensors = {}
        for name, part in zip(MEMORY_PARTS[memory], _parts(self.network, values), strict=True):
            tensors |= _named(self.network, part, f"optimizer.{name}.")
        for name, column in self.history.items():
            tensors[f"history.{name}"] = np.array(column, np.float64)
        callbacks = {}
        for key, progress in self.unfinished.items():
            arrays = {k: v for k, v in progress.items() if isinstance(v, np.ndarray)}
            for name, flat in arrays.items():
                tensors |= _named(self.network, flat, f"callbacks.{key}.{name}.")
            rest = {k: v for k, v in progress.items() if k not in arrays}
            callbacks[key] = {"values": rest, "arrays": list(arrays)}
        described = {
            "n_steps": self.steps.n,
            "memory": [memory, begins, list(self.memory.missed(self.steps.n))],
            "generator": _plain(self.generator.state),
            "dropout_seed": self.dropout_seed,
            "history": [list(self.history), self.history.epochs, self.history.stopped],
            "last_epoch": self.history._last_names,
            "callbacks": callbacks,
            "in_loop": self.in_loop,
            "n_watched": self.n_watched,
            "open_epoch": self.open_epoch.values(),
        }
        step = self.open_step
        if step.parts and step.gradient is not None:
            tensors |= _named(self.network, step.gradient, "accumulated.")
            described["open_step"] = [step.parts, step.rows, step.weight]
        return described, tensors

    def unpack(self, described: dict[str, Any], tensors: Tensors) -> None:
        """Take what `pack` returned; network and optimizer are those of then.

        Raises
        ------
        LookupError, TypeError, ValueError
            The two were not packed from such a state.
        """
        tensors = dict(tensors)
        memory, begins, missed = described["memory"]
        parts = [_flat(self.network, tensors, f"optimizer.{n}.") for n in MEMORY_PARTS[memory]]
        values = np.concatenate(parts) if parts else np.empty(0, self.network.dtype)
        if "open_step" in described:
            self.open_step.gradient = _flat(self.network, tensors, "accumulated.")
            parts, rows, weight = described["open_step"]
            if not (0 < parts <= rows < 2**62 and 0 <= weight < np.inf):
                raise ValueError("the batches of the open step are out of their range")
            step = self.open_step
            step.parts, step.rows, step.weight = int(parts), int(rows), float(weight)
        names, epochs, stopped = described["history"]
        columns = {name: _column(tensors.pop(f"history.{name}"), epochs) for name in names}
        unfinished = {}
        for key, progress in described["callbacks"].items():
            arrays = {
                name: _flat(self.network, tensors, f"callbacks.{key}.{name}.")
                for name in progress["arrays"]
            }
            unfinished[key] = progress["values"] | arrays
        if tensors:
            raise ValueError(f"the tensors {', '.join(tensors)} are not described")
        n_steps, dropout_seed = int(described["n_steps"]), int(described["dropout_seed"])
        if not (0 <= begins <= n_steps < 2**62 and 0 <= dropout_seed < 2**64):
            raise ValueError("the numbers of steps and the seed are out of their range")
        n_watched, n_open = int(described["n_watched"]), int(described["open_epoch"]["steps"])
        if not (0 <= n_watched <= epochs and 0 <= n_open <= n_steps):
            raise ValueError("the numbers of epochs are out of their range")
        layers = self.network.weighted_layers
        if missed and not (
            len(missed) == len(layers) and all(0 <= m <= n_steps - begins for m in missed)
        ):
            raise ValueError("the steps that layers were frozen in are out of their range")
        missed = tuple(map(int, missed))
        self.memory.last = Remembered(memory, int(begins), values, n_steps, missed)
        self.steps.n, self.dropout_seed = n_steps, dropout_seed
        self.generator.state = described["generator"]
        # The first files of this version have not the keys that `get` is for.
        last = described.get("last_epoch")
        self.history = History._of(columns, int(epochs), stopped, last)
        self.unfinished, self.in_loop = unfinished, bool(described.get("in_loop", False))
        self.n_watched = n_watched
        of_epoch = described["open_epoch"]
        loss, correct, weight = map(float, of_epoch["sums"])
        seconds, rate, labels = (of_epoch[name] for name in ("seconds", "rate", "labels"))
        self.open_epoch = OpenEpoch(
            n_open, (loss, correct, weight), float(seconds), float(rate), bool(labels)
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds."""
        begun = Unchanged(self.network)
        return vars(self) | {
            "steps": self.steps.n,
            "moment": Moment(),
            "averagings": {},
            "unchanged": begun,
        }

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Take what a pickle holds."""
        values = {name: value for name, value in values.items() if name != "unchanged"}
        vars(self).update(values, steps=StepCount(values["steps"]))


def _plain(state: Any) -> Any:
    """Return the state of a bit generator as JSON can hold it."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def _column(array: NDArray[Any], epochs: int) -> list[float]:
    if array.shape != (epochs,) or array.dtype != np.float64:
        raise ValueError(f"a column of the history is {array.dtype} {array.shape}")
    return [float(value) for value in array]


def _parts(network: Network, values: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the arrays that an optimizer's state has one after another."""
    size = network._model.arena.size
    return [values[i : i + size] for i in range(0, values.size, size)]


def _blank(network: Network) -> Network:
    """Return a network of the same layers, to give numbers the form of its parameters."""
    return network._unset(network._n_inputs, network.layers, network.dtype)


def _named(network: Network, flat: NDArray[Any], prefix: str) -> Tensors:
    """Return numbers laid out like the engine's parameters as tensors named like them."""
    form = _blank(network)
    form._model.arena[...] = flat
    return {prefix + name: tensor for name, tensor in form._tensors().items()}


def parameters_of(network: Network, flat: NDArray[Any]) -> NDArray[Any]:
    """Return numbers laid out like the engine's parameters in the form of `Network.parameters`."""
    form = _blank(network)
    form._model.arena[...] = flat
    return form.parameters


def _flat(network: Network, tensors: Tensors, prefix: str) -> NDArray[Any]:
    """Take the tensors of a prefix away and return them in the layout of the engine."""
    found = [name for name in tensors if name.startswith(prefix)]
    named = {name.removeprefix(prefix): tensors.pop(name) for name in found}
    arena: NDArray[Any] = _rebuilt(_blank(network)._architecture(), named)._model.arena
    return arena


class LastGood:
    """The state that training goes back to: where the last epoch began whose first loss was finite.

    One copy of the parameters and the optimizer's state, which the engine makes in that first
    step, when its loss is known and before its update: until then the copy is of the epoch
    before, and a step whose loss is not finite changes nothing.
    """

    def __init__(self, training: TrainingState, run: AnySteps) -> None:
        self._training = training
        arena, state = self._live = (training.network._model.arena, run.state)
        self._snapshot = run.snapshot = np.zeros(arena.size + state.size, arena.dtype)
        self._start: _Start
        self._good_start: _Start | None = None

    def begin(self, shuffles: bool) -> None:
        """Note that an epoch begins, one that draws from the random generator if it `shuffles`."""
        training = self._training
        random = training.generator.state if shuffles else None
        averages = [(one, one.model.arena.copy()) for one in training.averagings.values()]
        self._start = _Start(
            training.steps.n, random, training.optimizer.progress, training.memory.last, averages
        )

    @property
    def before_step(self) -> NDArray[Any]:
        """The parameters from before the epoch's first step; a view."""
        return self._snapshot[: self._live[0].size]

    def confirm(self) -> None:
        """Note that the first loss of the epoch was finite: the engine has copied its start."""
        self._good_start = self._start

    def live_is_finite(self) -> bool:
        """Return whether the parameters and the optimizer's state, as they are now, are finite."""
        arena, state = self._live
        return all_finite(arena) and all_finite(state)

    def restore(self) -> None:
        """Put everything back to the good start; without one only the random state has changed."""
        self._confirm_steps()
        self._go_to(self._good_start or self._start)

    def undo_epoch(self) -> None:
        """Put everything back to the start of this epoch, whose losses were all finite."""
        self._confirm_steps()
        self._go_to(self._start)

    def undo_step(self) -> None:
        """Put everything back to before the last step, if that took the snapshot.

        `begin` was called before the run's first two steps: from then on what is remembered is in
        the same arrays.
        """
        training = self._training
        steps, progress = training.steps.n - 1, training.optimizer.progress
        self._start = self._start._replace(steps=steps, progress=progress)
        self.undo_epoch()

    def _confirm_steps(self) -> None:
        """Confirm if steps were done that an error has kept from being reported."""
        if self._training.steps.n != self._start.steps:
            self.confirm()

    def _go_to(self, start: _Start) -> None:
        arena, state = self._live
        if start is self._good_start:  # else no step has been done since
            arena[...] = self._snapshot[: arena.size]
            state[...] = self._snapshot[arena.size :]
        training = self._training
        training.steps.n, training.optimizer.progress = start.steps, start.progress
        training.memory.last = start.remembered
        for averaging, values in start.averages:
            averaging.model.arena[...] = values
        if start.random is not None:
            training.generator.state = start.random
