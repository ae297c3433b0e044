"""Figures of a training run, drawn with matplotlib, which is imported only here and only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from .errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_panel", "panel_names", "plot_histories", "plot_history"]

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
    return plot_histories([history])


def plot_histories(histories: Sequence[Columns], best_epochs: Sequence[int] = ()) -> Figure:
    """Draw the histories of several networks, such as those of an ensemble, into one figure.

    Parameters
    ----------
    histories : sequence of History or other mappings
        As `plot_history` takes one.
    best_epochs : sequence of int
        For each history the epoch, from 1, that is marked: the one whose weights are used; 0 if
        none has ended.

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
    panels = panel_names(histories)
    columns = min(len(panels), PANELS_IN_A_ROW)
    rows = -(-len(panels) // columns)
    figure: Figure
    figure, axes = library().pyplot.subplots(
        rows, columns, squeeze=False, figsize=(5 * columns, 3.5 * rows), layout="constrained"
    )
    for ax, name in zip(axes.flat, panels, strict=False):
        draw_panel(ax, name, histories, best_epochs)
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    return figure


def panel_names(histories: Sequence[Columns]) -> list[str]:
    """Return the quantities that have a panel.

    Raises
    ------
    ConfigError
        Nothing was recorded yet.
    """
    if not any(values for history in histories for values in history.values()):
        raise ConfigError("history: got no epochs, wanted at least one; call fit first")
    drawn = [name for history in histories for name in history if name not in NOT_DRAWN]
    return list(dict.fromkeys(name.removeprefix("val_") for name in drawn))


def draw_panel(
    ax: Axes, name: str, histories: Sequence[Columns], best_epochs: Sequence[int] = ()
) -> None:
    """Draw one quantity of the histories, and mark their best epochs."""
    for key, label, style in (name, "training", "C0-"), (f"val_{name}", "validation", "C1--"):
        drawn = [history[key] for history in histories if key in history]
        for i, values in enumerate(drawn):
            # A single epoch is a point: a line alone would draw nothing.
            marker = "o" if len(values) == 1 else None
            epochs = range(1, len(values) + 1)
            ax.plot(epochs, values, style, label=_once(label, i), marker=marker)
    for i, (history, epoch) in enumerate(zip(histories, best_epochs, strict=False)):
        column = history.get(f"val_{name}") or history.get(name)
        if column and epoch:
            ax.plot(epoch, column[epoch - 1], "C1D", label=_once("chosen epoch", i))
    ax.locator_params("x", integer=True, min_n_ticks=1)
    ax.set_xlabel("epoch")
    ax.set_ylabel(name)
    ax.legend()


def _once(label: str, i: int) -> str:
    """Return the label of line i: an underscore before it keeps it out of the legend."""
    return f"_{label}" if i else label


def library() -> ModuleType:
    """Return matplotlib with its pyplot.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise MissingDependencyError(
            'a picture needs matplotlib, which is not installed: pip install "fastbp[plot]"'
        ) from error
    return matplotlib
