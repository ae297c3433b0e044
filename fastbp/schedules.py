"""Learning-rate schedules: the first argument of an optimizer, in the place of a number.

A schedule is a function of the time, and its time is the step: 0, 1, 2, ... over the life of the
trainer. With ``per="epoch"`` it is the number of epochs that `Trainer.fit` has finished, so the
rate changes between epochs only; in a loop of `Trainer.step`, `Trainer.end_epoch` counts them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from . import _check, metrics
from ._monitor import Monitor, worst
from .errors import ConfigError

__all__ = [
    "Cosine",
    "Exponential",
    "InverseTime",
    "LogCosine",
    "Polynomial",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "Warmup",
]

UNITS = ("step", "epoch")
# The first wave of more would end within a step of any training.
_MOST_CYCLES = 30


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

    def require(self, columns: Collection[str] | None, validated: bool) -> None:
        """Refuse, before training, a column to watch that no epoch will have.

        Parameters
        ----------
        columns : collection of str or None
            Names of `History` that the epochs will have; None where that is not known.
        validated : bool
            Whether there is validation data.
        """

    def watch(self, measured: Mapping[str, float]) -> None:
        """Look at what was measured in the epoch just finished, by the names of `History`."""

    @property
    def progress(self) -> dict[str, Any]:
        """What the schedule has learnt by watching; assign it to go back there."""
        return {}

    @progress.setter
    def progress(self, value: Mapping[str, Any]) -> None:
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
    """``rate / (1 + decay * time) ** power``.

    Parameters
    ----------
    rate, per
        As for `Schedule`.
    decay : float
        With the power 1, half the rate is left at time ``1 / decay``; >= 0.
    power : float
        > 0; scikit-learn's "invscaling" has the power `power_t`, and the number of rows as `decay`,
        per epoch.
    """

    def __init__(self, rate: float, decay: float, per: str = "step", power: float = 1.0) -> None:
        super().__init__(rate, per)
        self.decay = _check.number(decay, "decay")
        self.power = _check.positive(power, "power")

    def __call__(self, time: int) -> float:
        """Return the rate at a time."""
        left = 1 + self.decay * time
        return self.rate / (left if self.power == 1 else float(left**self.power))

    def __repr__(self) -> str:
        """Return the call that makes this schedule."""
        power = "" if self.power == 1 else f", power={self.power}"
        return f"InverseTime(rate={self.rate}, per={self.per!r}, decay={self.decay}{power})"


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


class LogCosine(Schedule):
    """``rate * (1 - cos(2 pi log2(1 + (2 ** cycles - 1) * time / total))) / 2``.

    Waves from 0 up to the rate and back to 0, each twice as long as the one before; 0 from `total`
    on. Where a wave ends the weights are settled, so the best epoch on validation data is found
    among `cycles` trainings of different lengths. Holzmüller, Grinsztajn & Steinwart, "Better by
    default: strong pre-tuned MLPs and boosted trees on tabular data", 2024 ("coslog4").

    Parameters
    ----------
    rate, per
        As for `Schedule`; the rate is that of the crest of each wave.
    total : int
        When the last wave ends.
    cycles : int
        Waves, at most 30.
    """

    def __init__(self, rate: float, total: int, cycles: int = 4, per: str = "step") -> None:
        super().__init__(rate, per)
        self.total = _check.positive_int(total, "total")
        self.cycles = _check.positive_int(cycles, "cycles")
        if self.cycles > _MOST_CYCLES:
            raise ConfigError(f"cycles: got {cycles}, wanted an integer from 1 to {_MOST_CYCLES}")

    def __call__(self, time: int) -> float:
        """Return the rate at a time."""
        if time >= self.total:
            return 0.0
        turns = math.log2(1 + (2.0**self.cycles - 1) * time / self.total)
        return self.rate * (1 - math.cos(2 * math.pi * turns)) / 2


class ReduceOnPlateau(Schedule):
    """The rate times `factor` after more than `patience` epochs in a row without improvement.

    As torch.optim.lr_scheduler.ReduceLROnPlateau, but for the threshold where `best` is negative,
    which is a share of its absolute value here: an epoch improves if the value is below
    ``best - max(min_delta, threshold * abs(best))``; with the mode "max", above
    ``best + max(min_delta, threshold * abs(best))``. It learns from what it sees, so give each
    trainer one of its own.

    Parameters
    ----------
    rate : float
        The learning rate at the start, >= 0.
    factor : float
        In [0, 1).
    patience : int
        Epochs without improvement that are put up with; 0: the first one lowers the rate.
    threshold : float
        The least improvement that counts, as a share of the best value; in [0, 1).
    min_rate : float
        The rate falls no lower.
    cooldown : int
        Epochs after a fall that do not count as epochs without improvement.
    min_delta : float
        The least improvement that counts, as a difference.
    monitor : str, optional
        The column of `History` to watch. Default: "val_loss", or "loss" in epochs without
        validation data; when that changes, it begins anew with the other one.
    mode : {"min", "max"}, optional
        Which value is the best. Default: as the name of the column says.

    Attributes
    ----------
    current : float
        The rate now.
    best : float
        The best value seen; infinity at first, or minus infinity with the mode "max".
    bad_epochs : int
        Epochs since then, or since the last fall of the rate.

    Raises
    ------
    ConfigError
        An option is out of its range; in `fit`, the epochs have no such column.
    """

    def __init__(
        self,
        rate: float,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        min_rate: float = 0.0,
        cooldown: int = 0,
        min_delta: float = 0.0,
        monitor: str | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(rate, "epoch")
        self.factor = _check.number(factor, "factor", below=1)
        self.patience = _check.whole(patience, "patience")
        self.threshold = _check.number(threshold, "threshold", below=1)
        self.min_rate = _check.number(min_rate, "min_rate")
        self.cooldown = _check.whole(cooldown, "cooldown")
        self.min_delta = _check.number(min_delta, "min_delta")
        self._monitor = Monitor(monitor, mode)
        self.current = self.rate
        self._begin_anew("")

    @property
    def monitor(self) -> str | None:
        """The column that it watches, or None: "val_loss" or "loss"."""
        return self._monitor.name

    @property
    def mode(self) -> str:
        """Which value of it is the best, "min" or "max"."""
        return self._monitor.mode

    def _begin_anew(self, column: str) -> None:
        self._column, self.best = column, worst(self._monitor.mode)
        self.bad_epochs = self._cooldown_left = 0

    def __call__(self, time: int) -> float:
        """Return the rate now, whatever the time."""
        return self.current

    def require(self, columns: Collection[str] | None, validated: bool) -> None:
        """Refuse a `monitor` that no epoch will have."""
        self._monitor.require(columns, validated)

    def watch(self, measured: Mapping[str, float]) -> None:
        """Look at what was measured in an epoch."""
        column = self._monitor.column("val_loss" in measured)
        value = self._monitor.value(column, measured)
        if column != self._column:
            self._begin_anew(column)
        if self._monitor.better(value, self.best, self.min_delta, self.threshold):
            self.best, self.bad_epochs = value, 0
        else:
            self.bad_epochs += 1
        if self._cooldown_left:
            self._cooldown_left, self.bad_epochs = self._cooldown_left - 1, 0
        if self.bad_epochs > self.patience:
            fallen = max(self.current * self.factor, self.min_rate)
            self.current, self.bad_epochs = min(self.current, fallen), 0
            self._cooldown_left = self.cooldown

    @property
    def progress(self) -> dict[str, Any]:
        """The attributes that watching changes."""
        return {
            "current": self.current,
            "best": self.best,
            "bad_epochs": self.bad_epochs,
            "cooldown_left": self._cooldown_left,
            "column": self._column,
        }

    @progress.setter
    def progress(self, value: Mapping[str, Any]) -> None:
        self.current, self.best = float(value["current"]), float(value["best"])
        self.bad_epochs = int(value["bad_epochs"])
        self._cooldown_left = _check.whole(value["cooldown_left"], "cooldown_left")
        self._column = str(value["column"])

    def __repr__(self) -> str:
        """Return the call that makes this schedule."""
        told = metrics.direction(self.monitor or "loss")
        options = {"cooldown": 0, "min_delta": 0.0, "monitor": None, "mode": told}
        changed = [
            f", {name}={getattr(self, name)!r}"
            for name, default in options.items()
            if getattr(self, name) != default
        ]
        return (
            f"ReduceOnPlateau(rate={self.rate}, factor={self.factor}, patience={self.patience}, "
            f"threshold={self.threshold}, min_rate={self.min_rate}{''.join(changed)})"
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

    def require(self, columns: Collection[str] | None, validated: bool) -> None:
        """Hand on to `after`."""
        if isinstance(self.after, Schedule):
            self.after.require(columns, validated)

    def watch(self, measured: Mapping[str, float]) -> None:
        """Hand on to `after`."""
        if isinstance(self.after, Schedule):
            self.after.watch(measured)

    @property
    def progress(self) -> dict[str, Any]:
        """That of `after`."""
        return self.after.progress if isinstance(self.after, Schedule) else {}

    @progress.setter
    def progress(self, value: Mapping[str, Any]) -> None:
        if isinstance(self.after, Schedule):
            self.after.progress = dict(value)
