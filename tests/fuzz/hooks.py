"""Callbacks that do something at one moment of a fit, and note when that was."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import fastbp as fb


class Hook:
    """At the `at`-th end of a "region" or an "epoch", do it.

    Attributes
    ----------
    fired : (int, int) or None
        Steps and epochs of the trainer then.
    """

    def __init__(self, when: str, at: int, action: Callable[[fb.Trainer], Any]) -> None:
        self._when, self._left, self._action = when, at, action
        self.fired: tuple[int, int] | None = None

    def on_region_end(self, trainer: fb.Trainer) -> Any:
        return self._now(trainer) if self._when == "region" else None

    def on_epoch_end(self, trainer: fb.Trainer, history: fb.History) -> Any:
        return self._now(trainer) if self._when == "epoch" else None

    def _now(self, trainer: fb.Trainer) -> Any:
        self._left -= 1
        if self._left:
            return None
        self.fired = trainer.n_steps, trainer.history.epochs
        return self._action(trainer)


class DeliberateError(Exception):
    """Of a callback that fails."""


class Explosive:
    """A loss of one's own that raises in its `fuse`-th call from now."""

    def __init__(self, function: Callable) -> None:
        self._function, self.fuse, self.error = function, 0, DeliberateError

    def __call__(self, outputs: Any, targets: Any) -> Any:
        self.fuse -= 1
        if self.fuse == 0:
            raise self.error
        return self._function(outputs, targets)


class Spike:
    """A rate that is huge in one step."""

    def __init__(self, rate: float, step: int, huge: float = 1e200) -> None:
        self._rate, self._step, self._huge = rate, step, huge

    def __call__(self, step: int) -> float:
        return self._huge if step == self._step else self._rate


class Trap:
    """A rate that cannot be had from a step on."""

    def __init__(self, rate: float, step: int, error: type[BaseException]) -> None:
        self._rate, self._step, self._error = rate, step, error

    def __call__(self, step: int) -> float:
        if step >= self._step:
            raise self._error
        return self._rate


def interrupt(trainer: fb.Trainer) -> None:
    raise KeyboardInterrupt


def send_signal(trainer: fb.Trainer) -> None:
    signal.raise_signal(signal.SIGINT)


def fail(trainer: fb.Trainer) -> None:
    raise DeliberateError


def stop(trainer: fb.Trainer) -> bool:
    return True
