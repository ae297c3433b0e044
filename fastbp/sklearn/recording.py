"""What an epoch was like, in scikit-learn's terms: the loss with its penalty, and printed lines."""

from __future__ import annotations

from typing import Any

from ..history import History
from ..trainer import Trainer

__all__ = ["OBJECTIVE", "Recorder"]

# The column of the history with the loss that scikit-learn reports.
OBJECTIVE = "objective"


class Recorder:
    """Records the loss that scikit-learn reports, and prints lines as it does.

    That is ``scale * loss + offset`` and the penalty, of each step as it was minimised, in the mean
    over the rows of an epoch.

    Parameters
    ----------
    scale, offset : float
    score : str or None
        The column with the score of the validation rows, if there are any.
    verbose : bool
        Whether to print.
    """

    def __init__(self, scale: float, offset: float, score: str | None, verbose: bool) -> None:
        self._scale, self._offset, self._score = scale, offset, score
        self._verbose, self._n_printed = verbose, 0

    def on_fit_begin(self, trainer: Trainer, x: Any, y: Any, validation_data: Any) -> None:
        """Announce the column."""
        columns = trainer._state.moment.columns
        if columns is not None:
            trainer._state.moment.columns = {*columns, OBJECTIVE}
        self._rate = trainer.optimizer.learning_rate

    def on_epoch_end(self, trainer: Trainer, history: History) -> None:
        """Record and print."""
        found = trainer._state.moment.objective
        if found is None:  # of L-BFGS the loss is that of the weights it has reached
            penalty = trainer._objective.value(trainer.network) if trainer.l2 else 0.0
            found = history["loss"][-1], penalty
        loss, penalty = found
        value = self._scale * loss + self._offset + penalty
        history.record(OBJECTIVE, value)
        if self._verbose:
            self._print(trainer, history, value)

    def _print(self, trainer: Trainer, history: History, value: float) -> None:
        rate = trainer.optimizer.learning_rate
        if not callable(rate) and rate != self._rate:
            print(f"Setting learning rate to {rate:f}")
            self._rate = rate
        self._n_printed += 1
        print(f"Iteration {self._n_printed}, loss = {value:.8f}")
        if self._score is not None:
            print(f"Validation score: {history[self._score][-1]:f}")

    def on_fit_end(self, trainer: Trainer, history: History) -> None:
        """Print why training ends."""
        if self._verbose and history.stopped:
            print(f"{history.stopped}. Stopping.")
