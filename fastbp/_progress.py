"""The progress bar of `Trainer.fit`: one tqdm bar over all steps of all epochs, on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["NoBar", "ProgressBar", "progress_bar"]


class NoBar:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def advance(self, steps: int, **values: float) -> None:
        """Move by `steps` inside an epoch; `values` are the epoch's so far."""

    def epoch_done(self, **values: float) -> None:
        """Close an epoch; `values` are its record."""


class ProgressBar(NoBar):
    """A tqdm bar that names the epoch and shows its loss and accuracy.

    Parameters
    ----------
    epochs : int
        Of this call of fit.
    steps : int
        Of one epoch.
    """

    def __init__(self, epochs: int, steps: int) -> None:
        from tqdm import tqdm  # type: ignore[import-untyped]

        self._epochs, self._epoch = epochs, 1
        self._shown: dict[str, float] = {}
        self._bar = tqdm(total=epochs * steps, unit="step", dynamic_ncols=True)
        self._name_epoch()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def advance(self, steps: int, **values: float) -> None:
        """Move by `steps` inside an epoch; the validation values are the last epoch's."""
        self._show(values)
        self._bar.update(steps)

    def epoch_done(self, **values: float) -> None:
        """Show the epoch's record."""
        self._show({k: v for k, v in values.items() if k not in ("learning_rate", "seconds")})
        if self._epoch < self._epochs:
            self._epoch += 1
            self._name_epoch()

    def _show(self, values: dict[str, float]) -> None:
        self._shown |= values
        text = {name: f"{value:.4g}" for name, value in self._shown.items()}
        # tqdm decides when to draw, so that thousands of short epochs cost no time.
        self._bar.set_postfix(text, refresh=False)

    def _name_epoch(self) -> None:
        self._bar.set_description(f"epoch {self._epoch}/{self._epochs}", refresh=False)


def progress_bar(wanted: bool, epochs: int, steps: int) -> NoBar:
    """Return a bar, or its silent twin, to be used in a ``with`` statement."""
    return ProgressBar(epochs, steps) if wanted else NoBar()
