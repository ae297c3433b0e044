"""What `Trainer.fit` calls after each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .history import History
    from .trainer import Trainer

__all__ = ["Callback"]


class Callback(Protocol):
    """Any object with this method will do."""

    def on_epoch_end(self, trainer: Trainer, history: History) -> Any:
        """Look at the epoch just recorded; return true to stop training."""
