"""Figures of a training run, drawn with matplotlib, which is imported only here and only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from .errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_history"]

Columns = Mapping[str, Sequence[float]]


def plot_history(history: Columns) -> Figure:
    """Draw loss and, when recorded, accuracy over the epochs.

    Parameters
    ----------
    history : History or other mapping
        One value per epoch and quantity, of at least one epoch.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per quantity; validation values dashed.

    Raises
    ------
    ConfigError
        Nothing was recorded yet.
    MissingDependencyError
        matplotlib is not installed.
    """
    if not any(history.values()):
        raise ConfigError("history: got no epochs, wanted at least one; call fit first")
    panels = [name for name in ("loss", "accuracy") if name in history or f"val_{name}" in history]
    figure: Figure
    figure, axes = _pyplot().subplots(
        1, len(panels), squeeze=False, figsize=(5 * len(panels), 3.5), layout="constrained"
    )
    for ax, name in zip(axes[0], panels, strict=True):
        _draw(ax, history, name)
    return figure


def _draw(ax: Axes, history: Columns, name: str) -> None:
    for key, label, style in ((name, "training", "-"), (f"val_{name}", "validation", "--")):
        if key in history:
            epochs = range(1, len(history[key]) + 1)
            # A single epoch is a point: a line alone would draw nothing.
            marker = "o" if len(epochs) == 1 else None
            ax.plot(epochs, history[key], style, label=label, marker=marker)
    ax.locator_params("x", integer=True, min_n_ticks=1)
    ax.set_xlabel("epoch")
    ax.set_ylabel(name)
    ax.legend()


def _pyplot() -> ModuleType:
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise MissingDependencyError(
            "plotting needs matplotlib: python -m pip install matplotlib"
        ) from error
    return pyplot
