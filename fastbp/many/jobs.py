"""The trainings of many networks: each made and checked before the first begins."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from traceback import clear_frames
from typing import Any, NamedTuple, cast

from numpy.typing import NDArray

from .. import _check
from .._affine import Affine
from ..callbacks import Checkpoint
from ..errors import ConfigError, FastbpError, brief
from ..history import History
from ..network import Names
from ..trainer import Trainer
from ..training.fit import HOOKS
from .configs import Targets, trainer_of
from .data import Data, Fold
from .results import Trained

__all__ = ["Job", "Making", "require_own"]

# What a network may fail of; any other error is one of the user's own code.
RECORDED = (FastbpError, MemoryError)


class Cancelled(BaseException):
    """Ends a training since all are to end."""


class Guard:
    """The last callback of a network: counts its epochs, and ends its training if all are to end.

    Parameters
    ----------
    cancelled : list
        Not empty if all are to end.
    """

    def __init__(self, cancelled: list[bool]) -> None:
        self._cancelled, self.epochs = cancelled, 0

    def on_fit_begin(self, trainer: Trainer, x: Any, y: Any, validation_data: Any) -> None:
        """End before the first step."""
        self._look()

    def on_region_end(self, trainer: Trainer) -> None:
        """End within an epoch."""
        self._look()

    def on_epoch_recorded(self, trainer: Trainer, history: History) -> None:
        """End after an epoch."""
        self.epochs += 1
        self._look()

    def _before_restore(self, trainer: Trainer, history: History) -> None:
        """End before any callback is told that training has come to its end."""
        self._look()

    def _look(self) -> None:
        if self._cancelled:
            raise Cancelled


class Job(NamedTuple):
    """A network to train: its entry in the results, its data, what is its own of `Trainer.fit`."""

    entry: Trained
    data: Data | Fold
    names: Names
    epochs: int
    guard: Guard

    def train(self, on_error: str) -> None:
        """Train, and note the error if it fails."""
        entry, trainer = self.entry, self.entry.trainer
        network, before, n_steps = trainer.network, trainer.network._names, trainer.n_steps
        callbacks, begin = (*entry.callbacks, self.guard), perf_counter()
        try:
            network._names = self.names
            trainer.fit(**self.data.arguments(), epochs=self.epochs, callbacks=callbacks)
        except RECORDED as error:
            clear_frames(error.__traceback__)  # they hold the rows
            entry.error = error
            if on_error == "raise":
                raise
        except Cancelled:
            raise
        except BaseException as error:
            error.add_note(f"in {_named(entry)}, {brief(entry.config)}")
            raise
        finally:
            if trainer.n_steps == n_steps:
                network._names = before
            entry.seconds = perf_counter() - begin
            trainer._runs.drop_workspace()
            self.data.done()


class Making:
    """Makes the trainers of all networks, before the first of them is trained.

    Parameters
    ----------
    data : Data
        All rows.
    build : callable or None
        As in `train_many`.
    epochs, callbacks
        Of the call.

    Attributes
    ----------
    cancelled : list of bool
        Not empty as soon as all trainings are to end.
    """

    def __init__(
        self,
        data: Data,
        build: Callable[[Any], Trainer] | None,
        epochs: int,
        callbacks: tuple[Any, ...],
    ) -> None:
        self._data, self._build = data, build
        self._epochs, self._callbacks = epochs, callbacks
        self.cancelled: list[bool] = []
        self._targets = Targets(data.y)
        self._maps: dict[tuple[int, int | None], Affine] = {}
        self._checked: dict[tuple[Any, ...], tuple[Names, NDArray[Any]]] = {}

    def job(self, index: int, config: Any, part: Data | Fold) -> Job:
        """Return a network to train, its data checked.

        Raises
        ------
        FastbpError
            The configuration cannot be used, or not with these data.
        """
        try:
            trainer = self._trainer(config, part)
            names = self._names_of(trainer)
            own = config if self._build is None and isinstance(config, Mapping) else {}
            epochs = _check.positive_int(own.get("epochs", self._epochs), "epochs")
            more = _check.callbacks(own.get("callbacks", ()), HOOKS)
            callbacks = tuple(_copied(callback) for callback in (*self._callbacks, *more))
        except FastbpError as error:
            raise type(error)(f"configs[{index}]: {error}") from error
        held = part.held if isinstance(part, Fold) else None
        entry = Trained(index, config, part.number, held, trainer, callbacks)
        return Job(entry, part, names, epochs, Guard(self.cancelled))

    def _trainer(self, config: Any, part: Data | Fold) -> Trainer:
        if self._build is not None:
            trainer = self._build(config)
            if not isinstance(trainer, Trainer):
                raise ConfigError(f"build: got {brief(trainer)} from it, wanted a Trainer")
            return trainer
        if isinstance(config, Trainer):
            if isinstance(part, Fold):
                raise ConfigError("got a Trainer beside folds, wanted a dict, or a build")
            return config
        map_of = partial(self._map_of, part=part)
        return trainer_of(config, self._data.x.shape[1], self._targets, map_of)

    def _map_of(self, given: Affine, part: Data | Fold) -> Affine:
        """Return a copy of a map that is fitted to the rows to train on."""
        if self._data.validation_split is not None:
            raise ConfigError(
                "preprocessing: got a map that is not fitted beside validation_split, wanted it "
                "fitted to the rows to train on, or folds, or validation_data"
            )
        key = id(given), part.number
        if key not in self._maps:
            x = self._data.x
            rows = x[part.train] if isinstance(part, Fold) else x
            self._maps[key] = cast(Any, copy.deepcopy(given)).fit(rows)
        return self._maps[key]

    def _names_of(self, trainer: Trainer) -> Names:
        """Check the data for a network; return the names that all rows give it.

        Those of a fold may lack a class.
        """
        network, loss, data = trainer.network, trainer._loss, self._data
        own = network._names
        form = network.n_inputs, network.n_outputs, network.dtype, network._activation
        key = *form, loss.targets, id(network.preprocessing), repr(trainer.class_weight), own
        if None not in (own.columns, data.columns) and own.columns != data.columns:
            raise ConfigError(
                f"network.columns: got {brief(own.columns)} for x with {brief(data.columns)}, "
                "wanted the same order"
            )
        if key not in self._checked:
            (_, y, _), names = trainer._examples(data.x, data.y, data.sample_weight, whole=True)
            names = names._replace(columns=names.columns or data.columns)
            if data.validation_data is not None:
                trainer._measured(None, None, data.validation_data, names)
            self._checked[key] = names, y
        names, y = self._checked[key]
        trainer._require_metrics(y)
        return names


def _copied(callback: Any) -> Any:
    """Return a copy of an object, which remembers what it has seen; a function as it is."""
    if not any(hasattr(callback, hook) for hook in HOOKS):
        return callback
    try:
        return copy.deepcopy(callback)
    except Exception as error:
        raise ConfigError(
            f"callbacks: got {brief(callback)}, which cannot be copied for each network ({error}), "
            "wanted one with a __deepcopy__, or a function"
        ) from error


def require_own(entries: Sequence[Trained]) -> None:
    """Refuse what two networks would both change: each has its own, but for the data."""
    owners: dict[Any, Trained] = {}
    for entry in entries:
        trainer = entry.trainer
        things: dict[Any, str] = {
            id(trainer): "trainer",
            id(trainer.network): "network",
            id(trainer.optimizer): "optimizer",
        }
        for callback in entry.callbacks:
            if isinstance(callback, Checkpoint):
                things[callback._path] = f"Checkpoint of {callback._path}"
        for key, what in things.items():
            if owners.setdefault(key, entry) is not entry:
                raise ConfigError(
                    f"configs: got one {what} for {_named(owners[key])} and {_named(entry)}, "
                    "wanted one for each"
                )


def _named(entry: Trained) -> str:
    fold = "" if entry.fold is None else f", fold {entry.fold}"
    return f"configs[{entry.index}]{fold}"
