"""Scores of predictions beside those of the simplest answer, and what they are worth in words."""

from __future__ import annotations

import math
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import metrics
from ..errors import CorruptModelError, InputError
from .wording import aligned, number, percent, shown

__all__ = [
    "ClassificationScores",
    "RegressionScores",
    "Scores",
    "classification_scores",
    "regression_scores",
    "surprises",
    "wilson",
]

Array = NDArray[np.float64]

# Below so many rows a score is told with the interval that it is uncertain by.
FEW_ROWS = 30
# Of the normal distribution: 95% lie within.
Z = 1.96
RESAMPLES = 2000
# What a person still reads: classes of a confusion table, and lines of a list.
MOST_CLASSES, MOST_PAIRS = 20, 10
LONGEST_LABEL = 24
UNDEFINED = "not defined"


@dataclass(frozen=True)
class Scores(ABC):
    """How good predictions are for some rows.

    Attributes
    ----------
    n_rows : int
        Rows that were scored.
    values : dict
        The scores by their names. One that these rows do not define is left out.
    baseline : dict
        The same scores of the simplest answer: always the most frequent class of training with the
        probabilities that are its class shares, or always the mean of training.
    undefined : dict
        For each score that is left out, why.
    better_than_baseline : bool
        Whether the predictions are better than that answer: more often right, or clearly better
        probabilities; a smaller RMSE.
    sentence : str
        What the scores are worth, and how uncertain they are if the rows are few.
    """

    n_rows: int
    values: dict[str, float]
    baseline: dict[str, float]
    undefined: dict[str, str]
    better_than_baseline: bool
    sentence: str

    task: ClassVar[str]
    # What a score is called, and how its number is written.
    _NAMES: ClassVar[dict[str, tuple[str, Any]]]

    def items(self) -> Iterator[tuple[str, float]]:
        """Give the names and values of the scores, then those of the baseline."""
        yield from self.values.items()
        for name, value in self.baseline.items():
            yield f"baseline_{name}", value

    def table(self, training: Scores | None = None, name: str = "test") -> list[list[str]]:
        """Return a line of cells for each score: it, that of the baseline, with a head.

        Parameters
        ----------
        training : Scores, optional
            Those of the training part, which get a column.
        name : str
            Of the part that these scores are of.
        """
        columns = {} if training is None else {"training": (training.values, training.n_rows)}
        columns |= {name: (self.values, self.n_rows), "baseline": (self.baseline, self.n_rows)}
        lines = [["", *columns]]
        for score, (label, written) in self._NAMES.items():
            cells = [
                written(values[score]) if score in values else UNDEFINED
                for values, _ in columns.values()
            ]
            lines.append([label, *cells])
        lines.append(["rows", *(number(n_rows) for _, n_rows in columns.values())])
        lines[-1][-1] = ""
        return lines

    def explanations(self) -> list[str]:
        """Return why scores are not defined, a sentence for each reason."""
        names: dict[str, list[str]] = {}
        for name, why in self.undefined.items():
            names.setdefault(why, []).append(self._NAMES[name][0])
        return [f"{', '.join(found)}: {UNDEFINED}: {why}." for why, found in names.items()]

    def text(self, width: int = 80, *, training: Scores | None = None, name: str = "test") -> str:
        """Return all of it as lines for a terminal of `width` columns; others as in `table`."""
        lines = [*aligned(self.table(training, name)), *self.explanations()]
        return "\n".join([*lines, *self._details(width), *textwrap.wrap(self.sentence, width)])

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` makes the same scores of."""
        return {"task": self.task, **asdict(self)}

    @staticmethod
    def from_json(described: Mapping[str, Any]) -> Scores:
        """Return the scores that `to_json` has described.

        Raises
        ------
        CorruptModelError
            No scores are described so.
        """
        kinds = {kind.task: kind for kind in (ClassificationScores, RegressionScores)}
        try:
            fields = dict(described)
            return kinds[fields.pop("task")]._of(fields)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CorruptModelError(f"scores: got {error!r}, wanted those of a table") from error

    @classmethod
    @abstractmethod
    def _of(cls, fields: dict[str, Any]) -> Scores:
        """Return the scores with fields as JSON has them."""

    @abstractmethod
    def _details(self, width: int) -> list[str]:
        """Return lines with more than one number a score."""


@dataclass(frozen=True)
class ClassificationScores(Scores):
    """How good predicted classes and probabilities are.

    Attributes
    ----------
    classes : tuple of str
        The labels as they were written.
    cells : tuple of (int, int, int)
        The cells of the confusion table that are not empty: true class, predicted class, rows.
    n_unknown : int
        Rows with a label that training did not have: wrong whatever was predicted. Only accuracy
        counts them.
    """

    classes: tuple[str, ...]
    cells: tuple[tuple[int, int, int], ...]
    n_unknown: int = 0

    task = "classification"
    _NAMES: ClassVar = {
        "accuracy": ("accuracy", percent),
        "balanced_accuracy": ("balanced accuracy", percent),
        "log_loss": ("log loss", number),
        "auc": ("AUC", number),
    }

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Rows of class i that were predicted to be of class j, [n_classes, n_classes]."""
        table = np.zeros((len(self.classes), len(self.classes)), np.int64)
        for true, predicted, count in self.cells:
            table[true, predicted] = count
        return table

    def explanations(self) -> list[str]:
        """Return why scores are not defined, and how many labels are unknown."""
        found = super().explanations()
        if self.n_unknown:
            found.append(
                f"Training did not have the label of {_rows(self.n_unknown)}: counted as wrong."
            )
        return found

    def by_class(self, most: int = MOST_CLASSES) -> list[list[str]]:
        """Return a line of cells for each of the `most` frequent classes, with a head.

        A dash stands for a share of no rows.
        """
        confusion = self.confusion
        rows, answers, right = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
        lines = [["class", "rows", "predicted", "precision", "recall"]]
        for i in self.most_frequent(most):
            shares = [percent(right[i] / n) if n else "-" for n in (answers[i], rows[i])]
            label = shown(self.classes[i], LONGEST_LABEL)
            lines.append([label, number(rows[i]), number(answers[i]), *shares])
        return lines

    def most_frequent(self, most: int) -> list[int]:
        """Return the codes of the `most` classes with the most rows, in the order of the classes.

        Of those with as many rows the first ones.
        """
        rows = self.confusion.sum(axis=1)
        return sorted(np.argsort(-rows, kind="stable")[:most].tolist())

    def confused(self, most: int = MOST_PAIRS) -> list[list[str]]:
        """Return a line of cells for each of the most frequent errors, with a head."""
        wrong = sorted((-n, true, other) for true, other, n in self.cells if true != other)
        lines = [["true class", "predicted", "rows"]]
        for n, true, other in wrong[:most]:
            labels = [shown(self.classes[code], LONGEST_LABEL) for code in (true, other)]
            lines.append([*labels, number(-n)])
        return lines

    @classmethod
    def _of(cls, fields: dict[str, Any]) -> ClassificationScores:
        fields["classes"] = tuple(map(str, fields["classes"]))
        fields["cells"] = tuple((int(a), int(b), int(n)) for a, b, n in fields["cells"])
        scores = cls(**fields)
        _ = scores.confusion  # fails where a cell is of no class
        return scores

    def _details(self, width: int) -> list[str]:
        left_out = len(self.classes) - MOST_CLASSES
        lines = self._confusion_lines(width)
        if lines is None:
            errors = self.confused()
            lines = ["", "the most frequent errors", *aligned(errors, (0, 1))]
            lines = lines if len(errors) > 1 else ["", "no errors"]
        lines += ["", *aligned(self.by_class())]
        return [*lines, *([f"and {left_out} more classes"] if left_out > 0 else []), ""]

    def _confusion_lines(self, width: int) -> list[str] | None:
        """Return the lines of the confusion table, or None if they do not fit in."""
        if len(self.classes) > MOST_CLASSES:
            return None
        labels = [shown(label, LONGEST_LABEL) for label in self.classes]
        counts = [[str(n) if n else "." for n in row] for row in self.confusion.tolist()]
        numbers = [str(i + 1) for i in range(len(labels))]
        numbered = [f"{i} {label}" for i, label in zip(numbers, labels, strict=True)]
        for head, names, gap in (
            (labels, labels, 2),
            (numbers, numbered, 2),
            (numbers, numbered, 1),
        ):
            rows = [["", *head], *([name, *row] for name, row in zip(names, counts, strict=True))]
            lines = aligned(rows, gap=gap)
            if max(map(len, lines)) <= width:
                return [
                    "",
                    "confusion: a line for each true class, a column for each answer",
                    *lines,
                ]
        return None


@dataclass(frozen=True)
class RegressionScores(Scores):
    """How good predicted values are, in the units of the target.

    Attributes
    ----------
    mean : float
        Of the target in the training part: the answer of the baseline.
    """

    mean: float

    task = "regression"
    _NAMES: ClassVar = {"rmse": ("RMSE", number), "mae": ("MAE", number), "r2": ("R2", number)}

    @classmethod
    def _of(cls, fields: dict[str, Any]) -> RegressionScores:
        return cls(**fields)

    def _details(self, width: int) -> list[str]:
        return []


def classification_scores(
    codes: ArrayLike, probabilities: ArrayLike, classes: Sequence[str], shares: ArrayLike
) -> ClassificationScores:
    """Return the scores of predicted probabilities; the most probable class is the answer.

    Parameters
    ----------
    codes : array-like of int, shape (n,)
        The true class of each row; -1 for a label that training did not have.
    probabilities : array-like, shape (n, n_classes)
        That were predicted.
    classes : sequence of str
        The labels.
    shares : array-like, shape (n_classes,)
        The part of the training rows that each class has.

    Raises
    ------
    InputError
        There are no rows.
    """
    y, p = np.asarray(codes, np.int64), np.asarray(probabilities)
    _require_rows(len(y))
    of_training = np.asarray(shares, np.float64)
    majority = int(of_training.argmax())
    always = np.broadcast_to(of_training, p.shape)
    known = y >= 0
    values, undefined = _of_answers(y, p)
    baseline, _ = _of_answers(y, always)
    better, sentence = _of_classes_in_words(
        values,
        baseline,
        n_rows=len(y),
        one_class=bool((y == y[0]).all() and known[0]),
        majority=shown(classes[majority], LONGEST_LABEL),
        right=_gain(_is_right(y, p).astype(float) - _is_right(y, always)),
        probable=_gain(surprises(y[known], always[known]) - surprises(y[known], p[known])),
    )
    cells = np.stack([y[known], _answers(p[known])], axis=1)
    cells, n_rows = np.unique(cells[cells[:, 1] >= 0], axis=0, return_counts=True)
    return ClassificationScores(
        n_rows=len(y),
        values=values,
        baseline=baseline,
        undefined=undefined,
        better_than_baseline=better,
        sentence=sentence,
        classes=tuple(map(str, classes)),
        cells=tuple((a, b, n) for (a, b), n in zip(cells.tolist(), n_rows.tolist(), strict=True)),
        n_unknown=int((~known).sum()),
    )


def regression_scores(y: ArrayLike, predicted: ArrayLike, mean: float) -> RegressionScores:
    """Return the scores of predicted values.

    Parameters
    ----------
    y, predicted : array-like of float, shape (n,)
        The true and the predicted values, in the units of the target.
    mean : float
        Of the target in the training part.

    Raises
    ------
    InputError
        There are no rows.
    """
    true, answers = np.asarray(y, np.float64), np.asarray(predicted, np.float64)
    _require_rows(len(true))
    always = np.full(len(true), float(mean))
    values, undefined = _of_values(true, answers)
    baseline, _ = _of_values(true, always)
    with np.errstate(over="ignore", invalid="ignore"):
        errors, simple = (true - answers) ** 2, (true - always) ** 2
    better, sentence = _of_values_in_words(values, baseline, errors, simple, float(mean))
    return RegressionScores(
        n_rows=len(true),
        values=values,
        baseline=baseline,
        undefined=undefined,
        better_than_baseline=better,
        sentence=sentence,
        mean=float(mean),
    )


def _require_rows(n_rows: int) -> None:
    if not n_rows:
        raise InputError("rows to score: got none with a target, wanted at least one")


def _answers(p: NDArray[Any]) -> NDArray[np.int64]:
    """Return the first of the most probable classes of each row; -1 if one of them is NaN."""
    return np.where(np.isnan(p).any(axis=1), -1, p.argmax(axis=1))


def _is_right(y: NDArray[np.int64], p: NDArray[Any]) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = (y >= 0) & (y == _answers(p))
    return right


def surprises(y: NDArray[np.int64], p: NDArray[Any]) -> Array:
    """Return minus the log of the probability of each row's class, as `metrics.log_loss` has it."""
    eps = float(np.finfo(p.dtype).eps)
    surprises: Array = -np.log(np.clip(p[np.arange(len(y)), y].astype(np.float64), eps, 1 - eps))
    return surprises


def _of_answers(y: NDArray[np.int64], p: NDArray[Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Return the scores of probabilities, and why there is none; classes of -1 are unknown ones."""
    right = _is_right(y, p)
    values, undefined = {"accuracy": float(right.mean())}, {}
    y, p, right = y[y >= 0], p[y >= 0], right[y >= 0]
    counts = np.bincount(y, minlength=p.shape[1])
    present = np.flatnonzero(counts)
    if not len(y):
        why = "no row has a label that training had"
        return values, dict.fromkeys(("balanced_accuracy", "log_loss", "auc"), why)
    recalls = np.bincount(y, right, minlength=p.shape[1])[present] / counts[present]
    values["balanced_accuracy"] = float(recalls.mean())
    n_bad = int((~np.isfinite(p).all(axis=1)).sum())
    if n_bad:
        why = f"not all probabilities are finite, those of {_rows(n_bad)} are not"
        return values, dict.fromkeys(("log_loss", "auc"), why)
    values["log_loss"] = float(surprises(y, p).mean())
    if len(present) == 1:
        undefined["auc"] = "one class only"
    else:
        classes = [1] if p.shape[1] == 2 else present
        values["auc"] = float(np.mean([metrics.auc(y == j, p[:, j]) for j in classes]))
    return values, undefined


def _of_values(y: Array, predicted: Array) -> tuple[dict[str, float], dict[str, str]]:
    """Return the scores of values, and why there is none."""
    n_bad = int((~np.isfinite(predicted)).sum())
    if n_bad:
        why = f"not all predicted values are finite, those of {_rows(n_bad)} are not"
        return {}, dict.fromkeys(("rmse", "mae", "r2"), why)
    with np.errstate(over="ignore", invalid="ignore"):
        values = {score: getattr(metrics, score)(y, predicted) for score in ("rmse", "mae", "r2")}
    undefined = {k: "errors are too large" for k, v in values.items() if not math.isfinite(v)}
    if len(y) == 1 or (y == y[0]).all():
        same = "the target is the same in all rows"
        undefined["r2"] = "one row only" if len(y) == 1 else same
    return {k: v for k, v in values.items() if k not in undefined}, undefined


def _gain(of_rows: Array) -> tuple[float, float]:
    """Return the mean of a gain of each row, and two standard errors of it."""
    if len(of_rows) < 2:
        return 0.0, math.inf
    with np.errstate(over="ignore", invalid="ignore"):
        return float(of_rows.mean()), float(2 * of_rows.std(ddof=1) / math.sqrt(len(of_rows)))


def _rows(n_rows: int) -> str:
    return f"{number(n_rows)} rows" if n_rows > 1 else "one row"


def _of_classes_in_words(
    values: dict[str, float],
    baseline: dict[str, float],
    *,
    n_rows: int,
    one_class: bool,
    majority: str,
    right: tuple[float, float],
    probable: tuple[float, float],
) -> tuple[bool, str]:
    """Return whether the answers are better than those of the baseline, and the sentence.

    `right` and `probable` are the gains over the baseline that `_gain` gives, of the share of right
    rows and of the log loss.
    """
    found, simple = values["accuracy"], baseline["accuracy"]
    sentences = [
        f'right for {percent(found)} of {_rows(n_rows)}; always "{majority}" is right for '
        f"{percent(simple)}."
    ]
    losses = ""
    if "log_loss" in values:
        losses = f"log loss {number(values['log_loss'])} beside {number(baseline['log_loss'])}."
    better = True
    if found > simple:
        sentences[0] = sentences[0].capitalize()
        if n_rows >= FEW_ROWS and right[0] <= right[1]:
            sentences.append(
                f"Chance may explain that: {percent(right[1])} are two standard errors."
            )
        if losses and probable[0] <= 0:
            sentences.append(f"Its probabilities are no better than the class shares: {losses}")
    elif losses and probable[0] > probable[1]:
        sentences.insert(
            0, "No more often right than the baseline, but its probabilities are better:"
        )
        sentences.append(losses.capitalize())
    else:
        better = False
        sentences.insert(0, "No better than the baseline:")
    if one_class:
        sentences.append("All these rows are of one class, which says little.")
    if n_rows < FEW_ROWS:
        low, high = map(percent, wilson(found, n_rows))
        sentences.append(f"Few rows: the accuracy may be from {low} to {high} (95% interval).")
    return better, " ".join(sentences)


def _of_values_in_words(
    values: dict[str, float], baseline: dict[str, float], errors: Array, simple: Array, mean: float
) -> tuple[bool, str]:
    """Return whether the values are better than the mean of training, and the sentence.

    `errors` and `simple` are the squared errors of each row and those of the baseline.
    """
    n_rows = len(errors)
    if "rmse" not in values or "rmse" not in baseline:
        return False, "Not compared with the baseline: the RMSE is not defined."
    sentences = [
        f"RMSE {number(values['rmse'])} on {_rows(n_rows)}; always the training mean, "
        f"{number(mean)}, has {number(baseline['rmse'])}."
    ]
    better = values["rmse"] < baseline["rmse"]
    if not better:
        sentences.insert(0, "No better than the baseline:")
        if values["mae"] < baseline["mae"]:
            losses = f"{number(values['mae'])} beside {number(baseline['mae'])}"
            sentences.append(
                f"Its MAE is better, {losses}: large errors of some rows decide the RMSE."
            )
    elif n_rows >= FEW_ROWS:
        gain, error = _gain(simple - errors)
        if gain <= error:
            sentences.append("Chance may explain that: it is less than two standard errors.")
    if 1 < n_rows < FEW_ROWS:
        low, high = map(number, _resampled(errors))
        sentences.append(f"Few rows: the RMSE may be from {low} to {high} (95% interval).")
    elif n_rows == 1:
        sentences.append("One row does not tell how uncertain that is.")
    return better, " ".join(sentences)


def wilson(share: float, n_rows: int) -> tuple[float, float]:
    """Return the 95% interval of a share (Wilson, 1927)."""
    middle = (share + Z**2 / (2 * n_rows)) / (1 + Z**2 / n_rows)
    half = Z * math.sqrt(share * (1 - share) / n_rows + (Z / (2 * n_rows)) ** 2)
    half /= 1 + Z**2 / n_rows
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _resampled(errors: Array) -> tuple[float, float]:
    """Return the 95% interval of a root mean square over rows drawn again (Efron, 1979)."""
    drawn = np.random.default_rng(0).integers(len(errors), size=(RESAMPLES, len(errors)))
    low, high = np.sqrt(np.quantile(errors[drawn].mean(axis=1), (0.025, 0.975)))
    return float(low), float(high)
