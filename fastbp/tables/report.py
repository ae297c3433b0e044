"""A page about a model of a table: what it was made of, how good it is, what it goes by."""

from __future__ import annotations

import platform
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _check, metrics
from ..engine.config import __version__
from ..errors import ConfigError, brief
from ..plot import panel_names
from . import figures, page
from .importance import importances
from .model import TableModel
from .page import isolated
from .reliability import reliability_bins
from .scores import LONGEST_LABEL, MOST_CLASSES, ClassificationScores, surprises
from .table import Table
from .wording import number, percent, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["report"]

MOST_COLUMNS = 100  # in a table of columns
MOST_BARS = 20
LARGEST = 1e150  # of values whose squares are finite, and that matplotlib can draw
IMPORTANCE_ROWS, IMPORTANCE_REPEATS = 2000, 5
QUANTILES = {
    "least": 0, "lower quarter": 0.25, "median": 0.5, "upper quarter": 0.75, "largest": 1
}  # fmt: skip
LIBRARIES = "numpy", "pandas", "pyarrow"


def report(model: TableModel, train: Any, test: Any, *, command: str | None = None) -> str:
    """Return a page of HTML about a model, which loads nothing and runs nothing.

    It has the scores beside those of the simplest answer, the confusion table or predicted against
    true values, calibration, the importance of each column, learning curves, the data, what became
    of each column, and how to do it again. The same model and tables give the same page.

    Parameters
    ----------
    model : TableModel
        That was fitted.
    train, test : Table, frame or dict
        The rows that it was fitted to, and others.
    command : str, optional
        That makes the model again; it is shown.

    Returns
    -------
    str
        The page, which ``pathlib.Path("report.html").write_text(page, "utf-8")`` writes.

    Raises
    ------
    ConfigError
        The model is none, or not fitted, or a table has no column of the target.
    InputError, ShapeError
        A table has no rows with a target, or lacks a column.
    MissingDependencyError
        matplotlib is not installed.
    """
    text = None if command is None else _check.text(command)
    if text is None and command is not None:
        raise ConfigError(f"command: got {brief(command)}, wanted a string, or None")
    if not isinstance(model, TableModel):
        raise ConfigError(f"model: got {brief(model)}, wanted a TableModel")
    given = {"training": train, "test": test}
    tables = {
        part: table if isinstance(table, Table) else Table(table) for part, table in given.items()
    }
    with figures.drawing():
        return _Report(model, tables).page(text)


class _Report:
    """The sections of the page, a method for each, and what several of them need."""

    def __init__(self, model: TableModel, parts: dict[str, Table]) -> None:
        self.model, self.parts = model, parts
        # A cell that training did not have is told by predict; here it counts as missing.
        self.scores = {part: model.evaluate(table, strict=False) for part, table in parts.items()}
        self.target, self.has_log = shown(model.target_name), model.target.log
        self.classes = model.target.classes if model.target.task == "classification" else ()
        self.labels = [shown(label, LONGEST_LABEL) for label in self.classes]
        self.rows, self.y = {}, {}
        for part, table in parts.items():
            self.rows[part], self.y[part] = model.truth(table)
        self.x = model.columns.transform(self.rows["test"], strict=False)
        self.outputs = model.outputs(self.x)
        # Test rows that have a true and a predicted value, or class.
        y, outputs = self.y["test"], self.outputs
        if self.classes:
            self.usable = np.isfinite(outputs).all(axis=1) & (y >= 0)
        else:  # also false of what is no number
            self.usable = (np.abs(outputs) < LARGEST) & (np.abs(y) < LARGEST)

    def page(self, command: str | None) -> str:
        scores = self.scores["test"]
        kind = f"{len(self.classes)} classes" if self.classes else "a quantity"
        sections = {
            "Scores": self.of_scores(),
            "Errors": self.of_confusion() if self.classes else self.of_errors(),
            "Calibration": self.of_calibration() if self.classes else "",
            "Columns that matter": self.of_importance(),
            "Training": self.of_training(),
            "Data": self.of_data(),
            "What became of the columns": self.of_columns(),
            "To do it again": self.of_command(command),
        }
        return page.document(
            title=f"Report on {isolated(self.target)}",
            subtitle=f"A model of {kind}, learned by fastbp from "
            f"{isolated(self.parts['training'].name)}.",
            verdict=f"On the test rows: {scores.sentence}",
            good=scores.better_than_baseline,
            sections={title: section for title, section in sections.items() if section},
        )

    def of_scores(self) -> str:
        test = self.scores["test"]
        found = page.table(test.table(self.scores["training"]), "Scores")
        found += "".join(map(page.paragraph, test.explanations()))
        if not self.classes:
            return found + page.small(
                f"In the units of {isolated(self.target)}. The baseline always answers with the "
                "mean of the training rows."
            )
        rest = "" if len(self.classes) == 2 else ", each class against the others, and their mean"
        return found + page.small(
            "The baseline always answers with the most frequent class of the training rows, and "
            "its probabilities are the shares of the classes there. AUC is the area under the "
            f"ROC curve{rest}."
        )

    def of_errors(self) -> str:
        y, values = self.y["test"][self.usable], self.outputs[self.usable]
        if not len(y):
            return page.paragraph("None of the predicted values is finite and can be squared.")
        # Where the logarithm was learned, it is what spreads the values over the figure.
        log = self.has_log and bool(min(y.min(), values.min()) > 1 / LARGEST)
        rows, left_out = f"{number(len(y))} test rows", int((~self.usable).sum())
        found = page.beside(
            self.figure(
                figures.predicted(y, values, self.target, log),
                "predicted",
                f"Predicted against true values of {rows}.",
            ),
            self.figure(
                figures.residuals(y, values, self.target, log),
                "residuals",
                f"True minus predicted values of {rows}, against the predicted ones.",
            ),
        )
        if left_out:
            found += page.small(
                f"Left out: {number(left_out)} rows, with values too large to draw."
            )
        ends = map(number, np.quantile(np.abs(y - values), (0.5, 0.9, 1)))
        lines = [["", "half of the rows", "90% of them", "all"], ["error of at most", *ends]]
        return found + page.table(lines, "Errors")

    def of_confusion(self) -> str:
        scores = self.scores["test"]
        assert isinstance(scores, ClassificationScores)
        most, errors = scores.most_frequent(MOST_CLASSES), scores.confused()
        left_out = len(self.classes) - len(most)
        note = (
            "A line for each true class, a column for each answer; shaded by the share of the line."
        )
        if left_out:
            note += f" The {len(most)} most frequent of {len(self.classes)} classes, others joined."
        by_class = page.heading("Class by class") + page.table(scores.by_class(), "Class by class")
        parts = [by_class + page.rest(left_out, "classes")]
        if len(errors) > 1:
            title = "The most frequent errors"
            parts.append(page.heading(title) + page.table(errors, title, left=(0, 1)))
        table = page.confusion(scores.confusion, most, self.labels)
        return page.small(note) + table + page.beside(*parts)

    def of_calibration(self) -> str:
        if not self.usable.any():
            return ""
        bins = reliability_bins(self.y["test"][self.usable], self.outputs[self.usable])
        binary = len(self.classes) == 2
        event = isolated(self.labels[1]) if binary else "the answer"
        share = f"share that is {event if binary else 'right'}"
        lines = [["probability", "rows", "mean probability", share, "95% interval"]]
        for b in bins:
            span = f"{b.start:.1f} to {b.start + b.width:.1f}"
            ends = f"{percent(b.low)} to {percent(b.high)}"
            lines.append([span, number(b.n_rows), percent(b.probability), percent(b.share), ends])
        caption = (
            f"How often rows with a predicted probability of {event} are so, with 95% intervals, "
            "and how many rows there are. On the diagonal probabilities mean what they say."
        )
        gap = sum(b.n_rows * abs(b.share - b.probability) for b in bins)
        error = percent(gap / sum(b.n_rows for b in bins))
        return (
            self.figure(figures.reliability(bins, event, share), "reliability", caption)
            + page.small(f"Mean distance from the diagonal (expected calibration error): {error}.")
            + page.folded("In numbers", page.table(lines, "Calibration"))
        )

    def of_importance(self) -> str:
        rows = np.flatnonzero(self.usable)
        if not len(rows):
            return ""
        drawn, seed = len(rows) > IMPORTANCE_ROWS, self.model.seed
        if drawn:
            rng = np.random.default_rng(seed)
            rows = np.sort(rng.choice(rows, IMPORTANCE_ROWS, replace=False))
        y, measure = self.y["test"][rows], "log loss" if self.classes else "RMSE"

        def loss(x: NDArray[Any]) -> float:
            outputs = self.model.outputs(x)
            if self.classes:
                return float(surprises(y, outputs).mean())
            return metrics.rmse(y, np.clip(outputs, -LARGEST, LARGEST))

        sources = self.model.columns.sources_out
        found = importances(loss, self.x[rows], sources, IMPORTANCE_REPEATS, seed)
        caption = (
            f"How much the {measure} of {number(len(rows))} test rows{', drawn at random,' * drawn}"
            f" rises when a column is shuffled {IMPORTANCE_REPEATS} times: mean and standard "
            "deviation."
        )
        if len(found) > MOST_BARS:
            caption += f" The {MOST_BARS} most important of {len(found)} columns."
        lines = [["column", f"{measure} rises by", "standard deviation"]]
        lines += [[shown(f.column), number(f.mean), number(f.spread)] for f in found[:MOST_COLUMNS]]
        bars = figures.importances(found[:MOST_BARS], measure)
        return (
            self.figure(bars, "importance", caption)
            + page.folded(
                "In numbers",
                page.table(lines, "Importance of columns")
                + page.rest(len(found) - MOST_COLUMNS, "columns"),
            )
            + page.small(
                "This is what the model goes by, not what causes what. Columns that say the same "
                "share their importance: each looks less important than it is."
            )
        )

    def of_training(self) -> str:
        histories, best = self.model.histories, self.model.best_epochs
        drawn = [
            self.figure(
                figures.curve(name, histories, best), f"curve{i}", f"{shown(name)} over the epochs."
            )
            for i, name in enumerate(panel_names(histories) if any(best) else ())
        ]
        used = ", ".join(
            f"{epoch} of {history.epochs}" for epoch, history in zip(best, histories, strict=True)
        )
        found = page.beside(*drawn) + page.paragraph(f"The weights are those of epoch {used}.")
        n_networks = len(self.model.networks)
        if n_networks > 1:
            found += page.paragraph(
                f"The outputs of {n_networks} networks are averaged. The first:"
            )
        return found + page.block(self.model.networks[0].summary())

    def of_data(self) -> str:
        tables, name = self.parts.values(), self.model.target_name
        missing = [table.frame.drop(columns=name).isna().to_numpy() for table in tables]
        n_rows = [len(table) for table in tables]
        without = [n - len(y) for n, y in zip(n_rows, self.y.values(), strict=True)]
        cells = [f"{number(m.sum())} ({percent(m.mean() if m.size else 0)})" for m in missing]
        lines = [
            ["", *self.parts],
            ["table", *(shown(table.name) for table in tables)],
            ["rows", *map(number, n_rows)],
            ["of them without a target, left out", *map(number, without)],
            ["columns", *(number(len(table.columns)) for table in tables)],
            ["missing cells, target aside", *cells],
        ]
        notes = [note for table in tables for note in table.notes] + list(self.model.notes)
        found = page.table(lines, "Data")
        if notes:
            found += page.items([shown(note, 500) for note in dict.fromkeys(notes)])
        return found + page.heading(f"Target: {isolated(self.target)}") + self.of_target()

    def of_target(self) -> str:
        y, lines = self.y.values(), [["", *self.y]]
        if not self.classes:
            for name, part in QUANTILES.items():
                lines.append([name, *(number(np.quantile(of_part, part)) for of_part in y)])
            lines.append(["mean", *(number(of_part.mean()) for of_part in y)])
            return page.table(lines, "Target")
        counts = [np.bincount(of_part[of_part >= 0], minlength=len(self.classes)) for of_part in y]
        most = sorted(np.argsort(-counts[0], kind="stable")[:MOST_CLASSES].tolist())
        for code in most:
            shares = [f"{number(n[code])} ({percent(n[code] / max(n.sum(), 1))})" for n in counts]
            lines.append([self.labels[code], *shares])
        return page.table(lines, "Classes") + page.rest(len(self.classes) - len(most), "classes")

    def of_columns(self) -> str:
        columns, n_outputs = self.model.columns, number(self.model.columns.n_outputs)
        missing = [table.frame.isna().mean() for table in self.parts.values()]
        kinds = Counter(decision.kind for decision in columns.decisions).most_common()
        of_kinds = ", ".join(f"{shown(kind)} {number(n)}" for kind, n in kinds)
        n_inputs = Counter(columns.sources_out)
        head = [
            "column",
            "kind",
            "inputs",
            *(f"missing, {part}" for part in self.parts),
            "what became of it",
        ]
        lines = [head]
        for name, kind, detail in columns.decisions[:MOST_COLUMNS]:
            shares = [percent(m[name]) if name in m else "-" for m in missing]
            lines.append([shown(name), kind, number(n_inputs[name]), *shares, shown(detail, 300)])
        return (
            page.paragraph(f"Columns by kind: {of_kinds}. Inputs of the network: {n_outputs}.")
            + page.table(lines, "Columns", left=(0, 1), wrap=len(head) - 1)
            + page.rest(len(columns.decisions) - MOST_COLUMNS, "columns")
        )

    def of_command(self, command: str | None) -> str:
        versions = [f"fastbp {__version__}", f"Python {platform.python_version()}"]
        for library in LIBRARIES:
            try:
                versions.append(f"{library} {metadata.version(library)}")
            except metadata.PackageNotFoundError:
                continue
        found = "" if command is None else page.block(shown(command, 5000))
        return found + page.paragraph(f"Seed {self.model.seed}; {', '.join(versions)}.")

    def figure(self, figure: Figure, name: str, caption: str) -> str:
        """Return a figure as HTML; no other has the name, of letters and digits."""
        return page.figure(figures.svg(figure, name, caption), caption)
