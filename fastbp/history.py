"""The record of a training run: one value per epoch and quantity."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["History"]

NAN = float("nan")


class History(Mapping[str, list[float]]):
    """What was measured in each epoch, as a mapping from a name to one value per epoch.

    Names: ``loss`` and ``accuracy`` (means over the epoch's rows, measured during its steps;
    accuracy in classification only), ``val_loss`` and ``val_accuracy`` (after the epoch, on
    the validation data), ``learning_rate`` (of the epoch's last step), ``seconds`` (of training,
    validation not included), and the metrics of the trainer, as ``val_f1``, or as ``f1`` without
    validation data (after the epoch, on the training rows). With weights all means are weighted.

    Attributes
    ----------
    stopped : str or None
        Why the last call of `Trainer.fit` stopped before its number of epochs; None if it did not.
    """

    def __init__(self) -> None:
        self.stopped: str | None = None
        self._columns: dict[str, list[float]] = {}
        self._epochs = 0

    @property
    def epochs(self) -> int:
        """Number of epochs recorded."""
        return self._epochs

    def append(self, **values: float) -> None:
        """Record one epoch; a quantity missing in some epochs is NaN there."""
        columns, epochs = self._columns, self._epochs
        try:
            for name in values:
                if name not in columns:
                    columns[name] = [NAN] * epochs
            for name, column in columns.items():
                column.append(float(values.get(name, NAN)))
            self._epochs = epochs + 1
        finally:
            # An interrupt between two columns must not leave one longer than the others.
            if self._epochs == epochs:
                for column in columns.values():
                    del column[epochs:]

    @classmethod
    def _of(cls, columns: dict[str, list[float]], epochs: int, stopped: str | None) -> History:
        """Return the record of `epochs` epochs that has these columns."""
        history = cls()
        history._columns, history._epochs, history.stopped = columns, epochs, stopped
        return history

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line per epoch, with a header; epochs are counted from 1."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *self._columns])
            writer.writerows(
                [epoch, *values]
                for epoch, values in enumerate(zip(*self._columns.values(), strict=True), start=1)
            )

    def plot(self) -> Figure:
        """Draw loss and, when recorded, accuracy over the epochs; return the figure.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        from .plot import plot_history

        return plot_history(self)

    def __getitem__(self, name: str) -> list[float]:
        """Return one value per epoch."""
        try:
            return self._columns[name]
        except KeyError:
            known = ", ".join(self._columns) or "nothing yet"
            raise KeyError(f"history has no {name!r}; recorded: {known}") from None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the recorded quantities."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Return the number of recorded quantities; `epochs` counts the epochs."""
        return len(self._columns)

    def __repr__(self) -> str:
        """Return the number of epochs and the values of the last."""
        last = ", ".join(f"{name} {column[-1]:.4g}" for name, column in self._columns.items())
        return f"<History of {self._epochs} epochs{': ' + last if last else ''}>"
