"""The figures of a report: SVG that stands in a page of HTML, drawn with matplotlib.

Text and axes have the colour of the page's text, so that they are seen on a dark page too. Names
are drawn as they are: matplotlib reads no mathematics in them. The same data gives the same SVG.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ..plot import Columns, draw_panel, library
from .importance import Importance
from .reliability import Bin
from .wording import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curve", "drawing", "importances", "predicted", "reliability", "residuals", "svg"]

Array = NDArray[np.float64]

# Stands for the colour of the text around, which matplotlib does not know.
INK = "#010203"
BLUE, ORANGE, GREY = "#3b82c4", "#d9762b", "#8a8a8a"
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.formatter.useoffset": False,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "legend.frameon": False,
    "savefig.dpi": 150,  # of points that are drawn as a picture
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
WIDTH, HEIGHT = 4.6, 3.2  # inches
# More points than these are one picture in the SVG, else a page has megabytes.
MOST_POINTS = 1000
LONGEST_NAME = 28
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


@contextmanager
def drawing() -> Iterator[None]:
    """Have matplotlib draw in the style of the report, whatever the user's is.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    matplotlib = library()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            STYLE | {"axes.prop_cycle": matplotlib.rcsetup.cycler(color=[BLUE, ORANGE])}
        )
        # The browser has fonts for what matplotlib's own lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def curve(name: str, histories: Sequence[Columns], best_epochs: Sequence[int]) -> Figure:
    """Draw one quantity of the histories over the epochs."""
    figure, ax = _axes()
    draw_panel(ax, name, histories, best_epochs)
    return figure


def predicted(y: Array, values: Array, name: str, log: bool) -> Figure:
    """Draw predicted against true values, with the diagonal on which they are equal."""
    figure, ax = _axes(height=WIDTH)
    ends = [min(y.min(), values.min()), max(y.max(), values.max())]
    ax.plot(ends, ends, color=GREY, linewidth=1, label="predicted = true")
    _points(ax, y, values)
    if log:
        _logarithmic(ax, "xy")
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xlabel=f"true {shown(name, LONGEST_NAME)}", ylabel="predicted")
    ax.legend(loc="upper left")
    return figure


def residuals(y: Array, values: Array, name: str, log: bool) -> Figure:
    """Draw what is left of the true values against the predicted ones."""
    figure, ax = _axes(height=WIDTH)
    ax.axhline(0, color=GREY, linewidth=1)
    _points(ax, values, y - values)
    if log:
        _logarithmic(ax, "x")
    ax.set(xlabel=f"predicted {shown(name, LONGEST_NAME)}", ylabel="true - predicted")
    return figure


def importances(found: Sequence[Importance], measure: str) -> Figure:
    """Draw a bar for each column, with a line of one standard deviation to both sides."""
    figure, ax = _axes(height=0.7 + 0.24 * len(found))
    places = range(len(found))
    ax.barh(
        places,
        [each.mean for each in found],
        xerr=[each.spread for each in found],
        color=BLUE,
        ecolor=INK,
        error_kw={"linewidth": 1},
    )
    ax.set_yticks(places, [shown(each.column, LONGEST_NAME) for each in found])
    ax.set_ylim(len(found) - 0.4, -0.6)  # the first one on top
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.locator_params("x", nbins=5)
    ax.set_xlabel(f"{measure} rises by")
    return figure


def reliability(bins: Sequence[Bin], event: str, share: str) -> Figure:
    """Draw the share of rows in which an event came true over its probability, and their number."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, WIDTH))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="calibrated")
    middles, shares = [b.probability for b in bins], np.array([b.share for b in bins])
    lines = np.abs(np.array([(b.low, b.high) for b in bins]).T - shares)
    above.errorbar(middles, shares, lines, fmt="o-", color=BLUE, ecolor=INK, elinewidth=1)
    above.set(ylabel=share, ylim=(-0.03, 1.03))
    above.legend(loc="upper left")
    below.bar(
        [b.start for b in bins], [b.n_rows for b in bins], bins[0].width, align="edge", color=BLUE
    )
    below.set(xlabel=f"predicted probability of {event}", ylabel="rows", xlim=(-0.03, 1.03))
    below.locator_params("y", nbins=3, integer=True)
    return figure


def svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an element of HTML, without width and height of its own.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn within `drawing`.
    name : str
        Of letters, one for each figure of a page: what identifiers begin with.
    title : str
        What a person who does not see the figure is told.
    """
    import matplotlib

    file = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata=nothing)
    root = ElementTree.fromstring(file.getvalue())
    used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', file.getvalue().decode()))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{SVG}metadata":
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.attrib = {
            key: value
            for key, value in (
                _attribute(key, value, name, used) for key, value in element.attrib.items()
            )
            if value is not None
        }
    for key in ("width", "height"):
        root.attrib.pop(key)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title"}
    label = ElementTree.Element("title", {"id": f"{name}-title"})
    label.text = title
    root.insert(0, label)
    return ElementTree.tostring(root, encoding="unicode")


def _attribute(key: str, value: str, name: str, used: set[str]) -> tuple[str, str | None]:
    """Return an attribute as the page has it; None for an identifier that nothing refers to."""
    if key == "id":
        return key, f"{name}-{value}" if value in used else None
    if key == LINK:
        return "href", re.sub("^#", f"#{name}-", value)
    value = value.replace("url(#", f"url(#{name}-")
    return key, value.replace(INK, "currentColor")


def _axes(height: float = HEIGHT) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots()


def _points(ax: Axes, x: Array, y: Array) -> None:
    many = len(x) > MOST_POINTS
    ax.scatter(
        x, y, s=9 if many else 16, alpha=0.25 if many else 0.6, color=BLUE, linewidths=0,
        rasterized=many,
    )  # fmt: skip


def _logarithmic(ax: Axes, names: str) -> None:
    """Make axes logarithmic; matplotlib would write their ticks as mathematics."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for name in names:
        axis = getattr(ax, f"{name}axis")
        getattr(ax, f"set_{name}scale")("log")
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
