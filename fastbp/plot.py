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

# Columns of a history that say how training went, not how good the network is.
NOT_DRAWN = ("learning_rate", "seconds")
PANELS_IN_A_ROW = 3


def plot_history(history: Columns) -> Figure:
    """Draw loss, accuracy, metrics and what else was recorded over the epochs.

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
    drawn = [name for name in history if name not in NOT_DRAWN]
    panels = list(dict.fromkeys(name.removeprefix("val_") for name in drawn))
    columns = min(len(panels), PANELS_IN_A_ROW)
    rows = -(-len(panels) // columns)
    figure: Figure
    figure, axes = _pyplot().subplots(
        rows, columns, squeeze=False, figsize=(5 * columns, 3.5 * rows), layout="constrained"
    )
    for ax, name in zip(axes.flat, panels, strict=False):
        _draw(ax, history, name)
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    return figure


def _draw(ax: Axes, history: Columns, name: str) -> None:
    lines = (name, "training", "C0-"), (f"val_{name}", "validation", "C1--")
    for key, label, style in lines:
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
            'plotting needs matplotlib, which is not installed: pip install "fastbp[plot]"'
        ) from error
    return pyplot
