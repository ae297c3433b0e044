"""How far a training is, for those who read a log instead of a terminal."""

from __future__ import annotations

import sys
from typing import Any

from ..history import History

__all__ = ["Lines", "draws_bar"]

PARTS = 10


def draws_bar() -> bool:
    """Return whether stderr is a terminal, on which a bar can move."""
    return sys.stderr is not None and sys.stderr.isatty()


class Lines:
    """A callback that writes a line to stderr for each tenth of the epochs.

    Parameters
    ----------
    model : object
        Whose ``epochs`` are those of a network, once it is prepared.
    networks : int
        That are trained one after another.
    """

    def __init__(self, model: Any, networks: int = 1) -> None:
        self._model, self._networks, self._begun = model, networks, 0

    def on_fit_begin(self, trainer: Any, x: Any, y: Any, validation_data: Any) -> None:
        """Count the networks."""
        self._begun += 1

    def on_epoch_recorded(self, trainer: Any, history: History) -> None:
        """Write if this epoch completes a tenth."""
        done, epochs = history.epochs, self._model.epochs
        if done * PARTS // epochs == (done - 1) * PARTS // epochs:
            return
        left_out = ("learning_rate", "seconds")
        values = {name: column[-1] for name, column in history.items() if name not in left_out}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        network = f"network {self._begun}/{self._networks}, " if self._networks > 1 else ""
        print(f"{network}epoch {done}/{epochs}: {shown}", file=sys.stderr, flush=True)
