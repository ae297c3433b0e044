"""What many trainings have given: a network each, and all as a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from .._monitor import Monitor
from ..callbacks import EarlyStopping
from ..errors import ConfigError, MissingDependencyError
from ..history import History
from ..network import Network
from ..trainer import Trainer

__all__ = ["Trained", "TrainedNetworks"]


@dataclass(eq=False)
class Trained:
    """One of the networks of `fastbp.train_many`.

    Attributes
    ----------
    index : int
        Of its configuration.
    config : object
        As it was given; a dict has the options of all besides.
    fold : int or None
        Of the folds; None without them.
    held_out : ndarray or None
        The rows that the fold holds out.
    trainer : Trainer
        It can be trained on.
    callbacks : tuple
        Those that it was trained with: copies, but for functions.
    error : Exception or None
        What has ended its training early; `trainer` is as that error leaves it.
    seconds : float
        That it has taken.
    """

    index: int
    config: Any
    fold: int | None
    held_out: NDArray[np.int64] | None
    trainer: Trainer
    callbacks: tuple[Any, ...]
    error: Exception | None = None
    seconds: float = 0.0

    @property
    def network(self) -> Network:
        """The network."""
        return self.trainer.network

    @property
    def history(self) -> History:
        """What was measured after each epoch."""
        return self.trainer.history

    @property
    def epoch(self) -> int:
        """The epoch whose weights the network has, counted from 1: the best, where those are kept.

        0 if none has ended. After an error it is the last one that was recorded.
        """
        if self.error is None:
            for callback in self.callbacks:
                if isinstance(callback, EarlyStopping) and callback.best_weights is not None:
                    return callback.best_epoch
        return self.history.epochs

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured in that epoch: what `history` has of it, but for rate and time."""
        columns, last = self.history.items(), self.epoch - 1
        others = "learning_rate", "seconds"
        return {name: column[last] for name, column in columns if name not in others}

    def __repr__(self) -> str:
        """Return the configuration, and how far it came."""
        fold = "" if self.fold is None else f", fold {self.fold}"
        end = "".join(f", {name} {value:.4g}" for name, value in self.metrics.items())
        if self.error is not None:
            end = f", {type(self.error).__name__}: {self.error}"
        return f"<Trained {self.config!r}{fold}, {self.history.epochs} epochs{end}>"


class TrainedNetworks(Sequence[Trained]):
    """The networks of `fastbp.train_many`, in the order of their configurations and folds.

    Parameters
    ----------
    entries : sequence of Trained
    """

    def __init__(self, entries: Sequence[Trained]) -> None:
        self._entries = tuple(entries)

    @overload
    def __getitem__(self, index: int) -> Trained: ...
    @overload
    def __getitem__(self, index: slice) -> TrainedNetworks: ...
    def __getitem__(self, index: int | slice) -> Trained | TrainedNetworks:
        """Return one of them, or some."""
        if isinstance(index, slice):
            return TrainedNetworks(self._entries[index])
        return self._entries[index]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._entries)

    @property
    def errors(self) -> list[Exception]:
        """What has ended the training of some of them early."""
        return [entry.error for entry in self if entry.error is not None]

    def best(self, monitor: str | None = None, mode: str | None = None) -> Trained:
        """Return the network with the best value, of those that were trained without an error.

        Parameters
        ----------
        monitor : str, optional
            A name in `Trained.metrics`. Default: "val_loss" if it is there, else "loss".
        mode : {"min", "max"}, optional
            Which value is the best. Default: as the name says.

        Raises
        ------
        ConfigError
            None of them has such a value, or the name does not tell the mode.
        """
        return self._best([[entry] for entry in self], monitor, mode)[0]

    def best_config(self, monitor: str | None = None, mode: str | None = None) -> Any:
        """Return the configuration with the best mean over its folds; see `best`.

        One of whose networks any has failed is left out.
        """
        by_config: dict[int, list[Trained]] = {}
        for entry in self:
            by_config.setdefault(entry.index, []).append(entry)
        return self._best(list(by_config.values()), monitor, mode)[0].config

    def _best(
        self, groups: Sequence[list[Trained]], monitor: str | None, mode: str | None
    ) -> list[Trained]:
        rule = Monitor(monitor, mode)
        whole = [group for group in groups if all(entry.error is None for entry in group)]
        columns = {name for group in whole for entry in group for name in entry.metrics}
        name = rule.column("val_loss" in columns)
        found: tuple[float, list[Trained]] | None = None
        for group in whole:
            values = [entry.metrics.get(name, np.nan) for entry in group]
            value = statistics.fmean(values)
            if value == value and (found is None or rule.better(value, found[0])):
                found = value, group
        if found is None:
            failed = "; all of them have failed" if self and not whole else ""
            raise ConfigError(
                f"monitor: got {name!r}, which no network has a number of, wanted one of "
                f"{sorted(columns)}{failed}"
            )
        return found[1]

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each network, all with the same columns.

        They are ``index`` and ``fold``; ``param_...`` for each option of a configuration that is a
        dict, ``config`` for one that is not; ``epoch``, ``epochs``, ``stopped``, ``seconds`` and
        ``error``; and the `Trained.metrics`. What a network does not have is None.
        """
        rows = [_row(entry) for entry in self]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return [{name: row.get(name) for name in names} for row in rows]

    def to_frame(self) -> Any:
        """Return `table` as a frame of pandas.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped]
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                'to_frame needs pandas, which is not installed: pip install "fastbp[table]"'
            ) from error
        return pandas.DataFrame(self.table())

    def __repr__(self) -> str:
        """Return how many there are."""
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"<TrainedNetworks: {len(self)}{failed}>"


def _row(entry: Trained) -> dict[str, Any]:
    config = entry.config
    if isinstance(config, Mapping):
        options = {f"param_{name}": value for name, value in config.items()}
    else:
        options = {"config": config}
    error = entry.error
    return {
        "index": entry.index,
        "fold": entry.fold,
        **options,
        "epoch": entry.epoch,
        "epochs": entry.history.epochs,
        "stopped": entry.history.stopped,
        "seconds": entry.seconds,
        "error": None if error is None else f"{type(error).__name__}: {error}",
        **entry.metrics,
    }
