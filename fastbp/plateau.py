"""The schedule that watches the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping

from . import _check
from .schedules import Schedule

__all__ = ["ReduceOnPlateau"]


class ReduceOnPlateau(Schedule):
    """The rate times `factor` after more than `patience` epochs in a row without improvement.

    It watches ``val_loss``, or ``loss`` where there is no validation data: an epoch improves if
    the loss is below ``best * (1 - threshold)``, as in torch.optim.lr_scheduler.ReduceLROnPlateau.
    It learns from what it sees, so give each trainer one of its own.

    Parameters
    ----------
    rate : float
        The learning rate at the start, >= 0.
    factor : float
        In [0, 1).
    patience : int
        Epochs without improvement that are put up with; at least 1.
    threshold : float
        The least improvement that counts, as a share of the best loss; in [0, 1).
    min_rate : float
        The rate falls no lower.

    Attributes
    ----------
    current : float
        The rate now.
    best : float
        The least loss seen; infinity at first.
    bad_epochs : int
        Epochs since then, or since the last fall of the rate.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    def __init__(
        self,
        rate: float,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        min_rate: float = 0.0,
    ) -> None:
        super().__init__(rate, "epoch")
        self.factor = _check.number(factor, "factor", below=1)
        self.patience = _check.positive_int(patience, "patience")
        self.threshold = _check.number(threshold, "threshold", below=1)
        self.min_rate = _check.number(min_rate, "min_rate")
        self.current, self.best, self.bad_epochs = self.rate, math.inf, 0

    def __call__(self, time: int) -> float:
        """Return the rate now, whatever the time."""
        return self.current

    def watch(self, measured: Mapping[str, float]) -> None:
        """Look at the loss of an epoch."""
        loss = measured.get("val_loss", measured["loss"])
        if loss < self.best * (1 - self.threshold):
            self.best, self.bad_epochs = loss, 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs > self.patience:
            fallen = max(self.current * self.factor, self.min_rate)
            self.current, self.bad_epochs = min(self.current, fallen), 0

    @property
    def progress(self) -> dict[str, float]:
        """The attributes that watching changes."""
        return {"current": self.current, "best": self.best, "bad_epochs": self.bad_epochs}

    @progress.setter
    def progress(self, value: Mapping[str, float]) -> None:
        self.current, self.best = float(value["current"]), float(value["best"])
        self.bad_epochs = int(value["bad_epochs"])

    def __repr__(self) -> str:
        """Return the call that makes this schedule."""
        return (
            f"ReduceOnPlateau(rate={self.rate}, factor={self.factor}, patience={self.patience}, "
            f"threshold={self.threshold}, min_rate={self.min_rate})"
        )
