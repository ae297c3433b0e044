"""Networks on the same rows that differ by their seed: each at its best epoch, saved on the way.

Knows arrays, not tables, so that the command trains images without pandas.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _check, models
from ..callbacks import Callback, EarlyStopping
from ..errors import ConfigError, DivergenceError
from ..formats import atomicfile
from ..formats.atomicfile import FilePath
from ..history import History
from ..network import Network
from ..trainer import Trainer

__all__ = ["Networks", "Stopping", "Trained", "train_networks"]

Validation = tuple[Any, NDArray[Any]] | None

# What the learning rate is multiplied by where training diverges, once.
LOWER = 0.1
# More epochs without an improvement than there will ever be.
FOREVER = 2**31 - 1
# Seconds from one checkpoint to the next: writing one may take longer than an epoch.
PAUSE = 1.0


class Trained(NamedTuple):
    """A network with the weights of its best epoch.

    Attributes
    ----------
    network : Network
    history : History
    best_epoch : int
        From 1; the last one without validation rows.
    notes : tuple of str
        What a user should know of the training.
    """

    network: Network
    history: History
    best_epoch: int
    notes: tuple[str, ...]


class Stopping:
    """Ends the training of all networks: a callback of each of them.

    Attributes
    ----------
    reason : str or None
        Set by any thread or a signal handler; None while training goes on.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.trainer: Trainer | None = None

    def stop(self, reason: str) -> None:
        """End after the step that is running."""
        self.reason = reason
        trainer = self.trainer
        if trainer is not None:  # a long step looks at this one
            trainer.stop(reason)

    def on_region_end(self, trainer: Trainer) -> str | None:
        """Stop within an epoch."""
        return self.reason

    def on_epoch_recorded(self, trainer: Trainer, history: History) -> str | None:
        """Stop after the validation."""
        return self.reason


class Networks(NamedTuple):
    """What the networks have in common.

    Attributes
    ----------
    n_outputs : int
        Classes, or values of a row.
    task : {"classification", "regression"}
    n : int
        How many networks.
    seed : int
        Of the first; the others have seeds that follow from it.
    epochs : int
        Of each.
    patience : int or None
        Epochs in a row without an improvement after which a network is done; None trains them all.
    n_threads : int or None
    options : dict
        Of `fastbp.models.tabular`.
    """

    n_outputs: int
    task: str
    n: int
    seed: int
    epochs: int
    patience: int | None
    n_threads: int | None
    options: dict[str, Any]

    def seed_of(self, index: int) -> int:
        """Return the seed of a network."""
        if not index:
            return self.seed
        return int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])


class _Checkpoint:
    """Writes the trainer while it trains, but not what a training that was stopped ends with.

    The end of `fit` puts the best weights back: from there the run would not go on to the bits
    that it has without the stop.
    """

    def __init__(self, path: str, stopping: Stopping) -> None:
        self._path, self._stopping = path, stopping
        self._next, self._over = 0.0, False

    def on_fit_end(self, trainer: Trainer, history: History) -> None:
        """Have the end saved."""
        self._over = True

    def on_checkpoint(self, trainer: Trainer, history: History) -> None:
        """Save, unless training was stopped, or the last file is new."""
        if self._stopping.reason is None and (self._over or monotonic() >= self._next):
            trainer.save(self._path)
            self._next = monotonic() + PAUSE


def train_networks(
    x: Any,
    y: NDArray[Any],
    validation: Validation,
    networks: Networks,
    stopping: Stopping,
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
    checkpoint: FilePath | None = None,
    resume: FilePath | None = None,
) -> list[Trained]:
    """Return the networks in the order of their seeds; those of which a step was done.

    Parameters
    ----------
    x, y
        Rows and their codes of classes or targets.
    validation : tuple of array_like or None
        The rows that tell which epoch is the best.
    networks : Networks
    stopping : Stopping
        Ends all of them.
    progress, callbacks
        As for `Trainer.fit`.
    checkpoint : path-like, optional
        The file to which the trainer is written while it trains; the second network has one with
        ``.2`` at the end, and so on.
    resume : path-like, optional
        Such a file to go on from, to the same bits. Networks without a file begin.

    Raises
    ------
    DivergenceError
        A network diverges at a lower rate too.
    ConfigError
        `resume` is of another run.
    """
    found = []
    for index in range(networks.n):
        if stopping.reason is not None:
            break
        files = [_numbered(path, index) for path in (checkpoint, resume)]
        run = _Run(x, y, validation, networks, index)
        trained = run.train(stopping, progress, callbacks, *files)
        if trained is not None:
            found.append(trained)
    return found


def _numbered(path: FilePath | None, index: int) -> str | None:
    if path is None:
        return None
    name = _check.path(path)
    return f"{name}.{index + 1}" if index else name


class _Run:
    """The training of one network."""

    def __init__(
        self,
        x: Any,
        y: NDArray[Any],
        validation: Validation,
        networks: Networks,
        index: int,
    ) -> None:
        self._x, self._y, self._validation = x, y, validation
        self._networks, self._index = networks, index
        self._notes: list[str] = []

    def train(
        self,
        stopping: Stopping,
        progress: bool,
        callbacks: Sequence[Callback],
        checkpoint: str | None,
        resume: str | None,
    ) -> Trained | None:
        """Return the network, or None if it was stopped before its first step."""
        trainer, attempt = self._made(1.0), 0
        name = self._name(trainer) if checkpoint or resume else ""
        if resume is not None and (not self._index or Path(resume).exists()):
            trainer, attempt = self._resumed(resume, name)
        while True:
            trainer.network.metadata = {"run": name, "attempt": str(attempt)} if name else {}
            try:
                self._fit(trainer, stopping, progress, callbacks, checkpoint)
                break
            except DivergenceError as error:
                if attempt:
                    raise
                self._notes.append(
                    f"training diverged in epoch {error.epoch} at the learning rate "
                    f"{error.learning_rate:g}: begun again at {LOWER:g} of the rate "
                    "(--learning-rate)"
                )
            trainer, attempt = self._made(LOWER), 1
        trainer.network.metadata = {}
        history = trainer.history
        if not history.epochs:
            return None
        return Trained(trainer.network, history, self._best_epoch(history), tuple(self._notes))

    def _made(self, rate_factor: float) -> Trainer:
        networks = self._networks
        return models.tabular(
            self._x.shape[1],
            networks.n_outputs,
            networks.task,
            n_rows=len(self._y),
            epochs=networks.epochs,
            seed=networks.seed_of(self._index),
            rate_factor=rate_factor,
            n_threads=networks.n_threads,
            **networks.options,
        )

    def _fit(
        self,
        trainer: Trainer,
        stopping: Stopping,
        progress: bool,
        callbacks: Sequence[Callback],
        checkpoint: str | None,
    ) -> None:
        """Train for the epochs that are left."""
        left = self._networks.epochs - trainer.history.epochs
        if left <= 0 or trainer.history.stopped:
            return
        patience = self._networks.patience
        rules: list[Any] = [*callbacks, stopping]
        if self._validation is not None or patience is not None:
            rules.append(EarlyStopping(FOREVER if patience is None else patience))
        if checkpoint is not None:
            atomicfile.require_writable(checkpoint)
            rules.append(_Checkpoint(checkpoint, stopping))
        stopping.trainer = trainer
        try:
            trainer.fit(self._x, self._y, left, self._validation, rules, progress)
        finally:
            stopping.trainer = None

    def _resumed(self, path: str, name: str) -> tuple[Trainer, int]:
        """Return the trainer of a file, and which attempt it is."""
        trainer = Trainer.load(path)
        notes = trainer.network.metadata
        if notes.get("run") != name:
            raise ConfigError(
                f"resume: got {path}, the checkpoint of another run, wanted one of the same data, "
                "options and seed"
            )
        trainer.n_threads = self._networks.n_threads
        return trainer, int(notes["attempt"])

    def _name(self, trainer: Trainer) -> str:
        """Return what tells this run from others: a digest of the data and of all options."""
        trainer.n_threads = None
        found = hashlib.sha256(
            repr((trainer, self._networks._replace(n=0, n_threads=None))).encode()
        )
        trainer.n_threads = self._networks.n_threads
        for array in (self._x, self._y, *(self._validation or ())):
            found.update(repr(array.shape).encode())
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    def _best_epoch(self, history: History) -> int:
        losses = history.get("val_loss")
        if losses is None or np.isnan(losses).all():
            return history.epochs
        return int(np.nanargmin(losses)) + 1
