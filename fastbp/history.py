"""The record of a training run: one value per epoch and quantity."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Any

from . import _check
from .errors import ConfigError, brief
from .formats import atomicfile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["History"]

NAN = float("nan")


class History(dict[str, list[float]]):
    """What was measured in each epoch: a dict from a name to one value per epoch.

    Names: ``loss`` and ``accuracy`` (means over the epoch's rows, measured during its steps;
    accuracy in classification only), ``val_loss`` and ``val_accuracy`` (after the epoch, on
    the validation data), ``learning_rate`` (of the epoch's last step), ``seconds`` (of training,
    validation not included), and the metrics of the trainer, as ``val_f1``, or as ``f1`` without
    validation data (after the epoch, on the training rows). With weights all means are weighted.
    Callbacks add columns of their own with `record`. ``pandas.DataFrame(history)`` is a table with
    a row for each epoch.

    Attributes
    ----------
    stopped : str or None
        Why the last call of `Trainer.fit` or `Trainer.end_epoch` stopped training; None if it did
        not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stopped: str | None = None
        self._epochs = 0
        self._measured: frozenset[str] = frozenset()  # names that `append` got for the last epoch
        self._recorded: frozenset[str] = frozenset()  # names that `record` got for it

    @property
    def epochs(self) -> int:
        """Number of epochs recorded."""
        return self._epochs

    def append(self, **values: float) -> None:
        """Record one epoch; a quantity missing in some epochs is NaN there.

        Raises
        ------
        ConfigError
            A value is no number; nothing is recorded.
        """
        epochs = self._epochs
        values = {k: _check.real(value, k, finite=False) for k, value in values.items()}
        new = [name for name in values if name not in self]
        try:
            for name in new:
                super().__setitem__(name, [NAN] * epochs)
            for name, column in self.items():
                column.append(values.get(name, NAN))
            self._measured, self._recorded = frozenset(values), frozenset()
            self._epochs = epochs + 1
        finally:
            # An interrupt between two columns must not leave one longer than the others, or new.
            if self._epochs == epochs:
                for name in new:
                    self.pop(name, None)
                for column in self.values():
                    del column[epochs:]

    def record(self, name: str, value: float) -> None:
        """Record a quantity of your own for the epoch just ended; NaN in epochs without one.

        For callbacks: what ``on_epoch_end`` records, the rules that stop, schedule and save can
        watch, as in ``fb.EarlyStopping(5, monitor="my_score", mode="max")``.

        Parameters
        ----------
        name : str
            Of the column.
        value : float
            NaN and infinities are allowed. A second one for the same epoch replaces the first.

        Raises
        ------
        ConfigError
            No epoch has ended yet, the name is one that training itself records, or the value is
            no number.
        """
        given, name = name, _check.text(name) or ""
        if not name:
            raise ConfigError(f"name: got {brief(given)}, wanted the name of a column")
        if not self._epochs:
            raise ConfigError(f"history.record: got {brief(name)} before the first epoch has ended")
        if name in self._measured:
            raise ConfigError(
                f"name: got {brief(name)}, which training records itself, wanted another"
            )
        number = _check.real(value, "value", finite=False)
        column = self.get(name) or [NAN] * self._epochs
        column[-1] = number
        super().__setitem__(name, column)
        self._recorded |= {name}

    def _last(self) -> dict[str, float]:
        """Return what was recorded of the last epoch."""
        return {name: self[name][-1] for name in (*self._measured, *self._recorded)}

    @property
    def _last_names(self) -> list[list[str]]:
        """The names that training recorded for the last epoch, and those that `record` did."""
        return [sorted(self._measured), sorted(self._recorded)]

    @classmethod
    def _of(
        cls,
        columns: dict[str, list[float]],
        epochs: int,
        stopped: str | None,
        last_names: list[list[str]] | None,
    ) -> History:
        """Return the record of `epochs` epochs that has these columns.

        Where `last_names` are not known, they are those of the last values that are numbers.
        """
        history = cls()
        history.update(columns)
        history._epochs, history.stopped = epochs, stopped
        if last_names is None:
            last_names = [[n for n, c in columns.items() if epochs and c[-1] == c[-1]], []]
        history._measured, history._recorded = map(frozenset, last_names)
        if not history._measured | history._recorded <= columns.keys():
            raise ValueError("the last epoch has other columns than the history")
        return history

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a pickle holds: the columns are not assigned one by one."""
        return _unpickled, (dict(self), dict(vars(self)))

    def __setitem__(self, name: str, column: Any) -> None:
        """Refuse; `record` adds a column."""
        raise TypeError(f"history: got a column {brief(name)}, wanted history.record(name, value)")

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line per epoch, with a header; epochs are counted from 1."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["epoch", *self])
        writer.writerows(
            [epoch, *values]
            for epoch, values in enumerate(zip(*self.values(), strict=True), start=1)
        )
        atomicfile.write(path, text.getvalue().encode())

    def plot(self) -> Figure:
        """Draw loss, accuracy, metrics and what else was recorded; return the figure.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        from .plot import plot_history

        return plot_history(self)

    def __missing__(self, name: str) -> list[float]:
        """Say which quantities there are."""
        known = ", ".join(self) or "nothing yet"
        raise KeyError(f"history has no {name!r}; recorded: {known}")

    def __repr__(self) -> str:
        """Return the number of epochs and the values of the last."""
        last = ", ".join(f"{name} {column[-1]:.4g}" for name, column in self.items())
        return f"<History of {self._epochs} epochs{': ' + last if last else ''}>"


def _unpickled(columns: dict[str, list[float]], attributes: dict[str, Any]) -> History:
    history = History()
    history.update(columns)
    vars(history).update(attributes)
    return history
