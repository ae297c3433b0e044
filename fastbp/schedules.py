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
        return self.end + (self.rate - self.end) * left**self.power


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
        self.after = after if callable(after) else _check.number(after, "after")
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
