"""Learning-rate schedules: the first argument of an optimizer, in the place of a number.

A schedule is a function of the time, and its time is the step: 0, 1, 2, ... over the life of the
trainer. With ``per="epoch"`` it is the number of epochs that `Trainer.fit` has finished, so the
rate changes between epochs only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from . import _check

__all__ = [
    "Cosine",
    "Exponential",
    "InverseTime",
    "Polynomial",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "Warmup",
]

UNITS = ("step", "epoch")


class Schedule:
    """What all schedules have in common: a rate at the start, and the unit of their time.

    Parameters
    ----------
    rate : float
        The learning rate at time 0, >= 0.
    per : {"step", "epoch"}
        What the time counts.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    def __init__(self, rate: float, per: str = "step") -> None:
        self.rate = _check.number(rate, "rate")
        self.per = _check.choice(per, UNITS, "per")

    def __call__(self, time: int) -> float:
        """Return the rate at a time."""
        raise NotImplementedError

    def watch(self, measured: Mapping[str, float]) -> None:
        """Look at what was measured in the epoch just finished, by the names of `History`."""

    @property
    def progress(self) -> dict[str, float]:
        """What the schedule has learnt by watching; assign it to go back there."""
        return {}

    @progress.setter
    def progress(self, value: Mapping[str, float]) -> None:
        pass

    def __repr__(self) -> str:
        """Return the call that makes this schedule."""
        options = (f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({', '.join(options)})"


class Step(Schedule):
    """``rate * factor ** floor(time / every)``.

    Parameters
    ----------
    rate, per
        As for `Schedule`.
    every : int
        The time from one fall to the next.
    factor : float
        Of each fall, >= 0.
    """

    def __init__(self, rate: float, every: int, factor: float = 0.1, per: str = "step") -> None:
        super().__init__(rate, per)
        self.every = _check.positive_int(every, "every")
        self.factor = _check.number(factor, "factor")

    def __call__(self, time: int) -> float:
        """Return the rate at a time."""
        return self.rate * self.factor ** (time // self.every)


class Exponential(Schedule):
    """``rate * factor ** time``.

    Parameters
    ----------
    rate, per
        As for `Schedule`.
    factor : float
        From one step or epoch to the next, >= 0.
    """

    def __init__(self, rate: float, factor: float, per: str = "step") -> None:
        super().__init__(rate, per)
        self.factor = _check.number(factor, "factor")

    def __call__(self, time: int) -> float:
        """Return the rate at a time."""
        return self.rate * self.factor**time


class InverseTime(Schedule):
    """``rate / (1 + decay * time)``.

    Parameters
    ----------
    rate, per
        As for `Schedule`.
    decay : float
        At time ``1 / decay`` half the rate is left; >= 0.
    """

    def __init__(self, rate: float, decay: float, per: str = "step") -> None:
        super().__init__(rate, per)
        self.decay = _check.number(decay, "decay")

    def __call__(self, time: int) -> float:
        """Return the rate at a time."""
        return self.rate / (1 + self.decay * time)


class Polynomial(Schedule):
    """``end + (rate - end) * (1 - time / total) ** power``, and `end` from time `total` on.

    Parameters
    ----------
    rate, per
        As for `Schedule`.
    total : int
        When the rate has come to `end`.
    power : float
        1 for a straight line; > 0.
    end : float
        At least 0.
    """

    def __init__(
        self, rate: float, total: int, power: float = 1.0, end: float = 0.0, per: str = "step"
    ) -> None:
        super().__init__(rate, per)
        self.total = _check.positive_int(total, "total")
        self.power = _check.positive(power, "power")
        self.end = _check.number(end, "end")

    def __call__(self, time: int) -> float:
        """Return the rate at a time."""
        left = 1 - min(time, self.total) / self.total
        return self.end + (self.rate - self.end) * float(left**self.power)


class Cosine(Schedule):
    """``end + (rate - end) * (1 + cos(pi * time / total)) / 2``, and `end` from `total` on.

    Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without
    the restarts.

    Parameters
    ----------
    rate, per
        As for `Schedule`.
    total : int
        When the rate has come to `end`.
    end : float
        At least 0.
    """

    def __init__(self, rate: float, total: int, end: float = 0.0, per: str = "step") -> None:
        super().__init__(rate, per)
        self.total = _check.positive_int(total, "total")
        self.end = _check.number(end, "end")

    def __call__(self, time: int) -> float:
        """Return the rate at a time."""
        half = (1 + math.cos(math.pi * min(time, self.total) / self.total)) / 2
        return self.end + (self.rate - self.end) * half


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


class Warmup(Schedule):
    """A rise in a straight line to the first rate of another schedule, then that schedule.

    At time t below `total` the rate is ``after(0) * (t + 1) / (total + 1)``, from then on
    ``after(t - total)``.

    Parameters
    ----------
    after : float, schedule or callable
        What comes after the rise; its unit of time is the unit of the rise.
    total : int
        How long the rise takes.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    def __init__(self, after: float | Callable[[int], float], total: int) -> None:
        own = callable(after) and not isinstance(after, type)
        self.after = after if own else _check.number(after, "after")
        self.total = _check.positive_int(total, "total")

    @property
    def per(self) -> str:  # type: ignore[override]
        """The unit of `after`; steps for a number or a function."""
        return self.after.per if isinstance(self.after, Schedule) else "step"

    def __call__(self, time: int) -> float:
        """Return the rate at a time."""
        later = self.after(max(time - self.total, 0)) if callable(self.after) else self.after
        return later if time >= self.total else later * (time + 1) / (self.total + 1)

    def watch(self, measured: Mapping[str, float]) -> None:
        """Hand on to `after`."""
        if isinstance(self.after, Schedule):
            self.after.watch(measured)

    @property
    def progress(self) -> dict[str, float]:
        """That of `after`."""
        return self.after.progress if isinstance(self.after, Schedule) else {}

    @progress.setter
    def progress(self, value: Mapping[str, float]) -> None:
        if isinstance(self.after, Schedule):
            self.after.progress = dict(value)
