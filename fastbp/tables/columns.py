"""`Columns`: the columns of a table as the inputs of a network, and back from a file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..errors import ConfigError, CorruptModelError, InputError, ShapeError, brief
from .dates import is_date
from .described import Reader
from .encoders import ENCODERS, Encoder, Options
from .kinds import KINDS, USED, Column, Judgement, judge, written
from .table import Table
from .wording import aligned, shown

__all__ = ["Columns", "Decision"]

MOST_LEVELS = 256
DECIMALS = (".", ",")
# Of a table of more columns the summary takes neighbours of one kind together.
MOST_LINES = 40
PARAMETERS = "columns.parameters"


class Decision(NamedTuple):
    """What becomes of a column.

    Attributes
    ----------
    name : str
    kind : str
        "number", "category", "boolean" or "date"; or why it is left out: "text", "constant",
        "identifier", "row number" or "dropped".
    detail : str
    """

    name: str
    kind: str
    detail: str


class Columns:
    """The columns of a table as inputs of a network, fitted to the training part alone.

    Numbers are centred and scaled; categories become a column of 0 and 1 for each level; of dates
    there is what varies. A missing cell is the median, and there is an input that says so if the
    training part has missing ones. Text, constants, identifiers and row numbers are left out.

    Parameters
    ----------
    drop : sequence of str
        Columns to leave out.
    features : sequence of str, optional
        The columns that may be used. Default: all.
    categorical, numeric, dates : sequence of str
        Columns whose kind is this one, whatever their cells say.
    scale : {"robust", "standard"}
        Of numbers: the median and the interquartile range, followed by x / sqrt(1 + (x / 3)^2),
        which keeps what lies far out within 3 of 0; or mean and standard deviation.
    most_levels : int
        So many levels of a category at most have an input of their own, the most frequent ones. All
        others share one, or 64 by a hash of their text.

    Attributes
    ----------
    decisions : tuple of Decision
        One for each column, in the order of the table.
    inputs : tuple of str
        The columns that `transform` needs.
    names_out, sources_out : tuple of str
        The name of each output, and the name of the column that it comes from.
    formulas_out : tuple of str
        For each output how it follows from a cell v of that column, in words.
    n_outputs : int

    Raises
    ------
    ConfigError
        An option is unusable.
    """

    def __init__(
        self,
        drop: Sequence[str] = (),
        features: Sequence[str] | None = None,
        categorical: Sequence[str] = (),
        numeric: Sequence[str] = (),
        dates: Sequence[str] = (),
        scale: str = "robust",
        most_levels: int = MOST_LEVELS,
    ) -> None:
        self.drop = _names(drop, "drop")
        self.features = None if features is None else _names(features, "features")
        self.categorical = _names(categorical, "categorical")
        self.numeric, self.dates = _names(numeric, "numeric"), _names(dates, "dates")
        self.scale = _check.choice(scale, ("robust", "standard"), "scale")
        self.most_levels = _check.positive_int(most_levels, "most_levels")
        self._forced = _kinds_of(
            categorical=self.categorical, numeric=self.numeric, dates=self.dates
        )
        self.decisions: tuple[Decision, ...] = ()
        self._encoders: dict[str, Encoder] = {}
        # Of a file without names: how many columns there were, and where the target was.
        self._places: tuple[str, ...] = ()
        self._target: str | None = None

    def fit(self, table: Any, target: str | None = None, decimal: str | None = None) -> Self:
        """Decide what each column is, and find its numbers; return the object itself.

        Parameters
        ----------
        table : Table or data frame
            The training part.
        target : str, optional
            The column that is left aside.
        decimal : str, optional
            The decimal mark of text. Default: that of the table.

        Raises
        ------
        ConfigError
            An option names a column that there is not, or the target.
        InputError
            There is no column that can be used, no row, or a cell is not of the kind that an
            option wants.
        """
        table = _table(table)
        target = None if target is None else _check.text(target) or brief(target)
        if decimal is not None:
            decimal = _check.choice(decimal, DECIMALS, "decimal")
        found = _columns_of(table, decimal)
        self._require_known(tuple(found), target)
        if not len(table):
            raise InputError("table: got no rows, wanted at least one")
        options = Options(self.scale, self.most_levels)
        decisions, encoders = [], {}
        for name, column in found.items():
            if name != target:
                judgement = self._judge(column)
                decisions.append(Decision(name, *judgement))
                if judgement.kind in USED:
                    encoders[name] = ENCODERS[judgement.kind].fit(column, options)
        if not encoders:
            raise InputError(
                "table: got no column that can be used, wanted one or more beside the target: "
                + "; ".join(
                    f"{shown(d.name)!r} is left out ({d.kind}: {d.detail})" for d in decisions
                )
            )
        self.decisions, self._encoders = tuple(decisions), encoders
        self._target = target
        self._places = () if table.has_header else tuple(found)
        return self

    def _judge(self, column: Column) -> Judgement:
        name = column.name
        if name in self.drop:
            return Judgement("dropped", "as asked for")
        if self.features is not None and name not in self.features:
            return Judgement("dropped", "not among the features")
        kind = self._forced.get(name)
        if kind is None:
            return judge(column)
        if len(column.present) < 2:
            return judge(column)
        if kind == "categorical":
            return Judgement("category", f"{len(column.present)} levels, as asked for")
        return _forced_number(column) if kind == "numeric" else _forced_date(column)

    def transform(self, table: Any, strict: bool = True) -> NDArray[np.float32]:
        """Return the inputs of the rows of a table, float32 [rows, n_outputs], always finite.

        Columns are found by name, in any order, and others are ignored.

        Parameters
        ----------
        table : Table or data frame
        strict : bool
            Whether a cell of another kind than that of its column in training is an error, not a
            missing cell. For parts that were cut from the file of the training part it should not
            be: one odd cell of the file is in one part only.

        Raises
        ------
        ShapeError
            A column is missing.
        InputError
            With `strict`, a cell is not of the kind that its column had in training.
        """
        self._require_fitted()
        table = _table(table)
        found = self._found(table, _check.flag(strict, "strict"))
        encoded = np.zeros((len(table), self.n_outputs), np.float32)
        start = 0
        for name, encoder in self._encoders.items():
            stop = start + len(encoder.outputs)
            encoded[:, start:stop] = encoder.encode(found[name])
            start = stop
        return encoded

    def _found(self, table: Table, strict: bool) -> dict[str, Column]:
        found = _columns_of(table, None, strict)
        if self._places and not table.has_header:
            found = self._by_place(found)
        missing = [name for name in self._encoders if name not in found]
        if missing:
            hint = "" if table.has_header else "; the table has no row of names (--header)"
            raise ShapeError(
                f"table: got no column {_listed(missing)}, wanted those of the training part"
                f"{_near(missing[0], found)}{hint}"
            )
        return found

    def _by_place(self, found: dict[str, Column]) -> dict[str, Column]:
        """Return the columns of a table without names, under those that training gave them."""
        places = self._places
        if len(found) == len(places) - 1 and self._target in places:
            places = tuple(name for name in places if name != self._target)
        if len(found) != len(places):
            raise ShapeError(
                f"table: got {len(found)} columns without names, wanted {len(self._places)}, as in "
                "training, or one less: without the target"
            )
        return dict(zip(places, found.values(), strict=True))

    @property
    def has_header(self) -> bool:
        """Whether the columns of the training part had names."""
        return not self._places

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that `transform` needs."""
        return tuple(self._encoders)

    @property
    def names_out(self) -> tuple[str, ...]:
        """The name of each output."""
        return tuple(
            f"{name}{output}"
            for name, encoder in self._encoders.items()
            for output in encoder.outputs
        )

    @property
    def sources_out(self) -> tuple[str, ...]:
        """For each output the column that it comes from."""
        return tuple(name for name, encoder in self._encoders.items() for _ in encoder.outputs)

    @property
    def formulas_out(self) -> tuple[str, ...]:
        """For each output how it follows from a cell v of its column, in words."""
        return tuple(text for encoder in self._encoders.values() for text in encoder.formulas)

    @property
    def n_outputs(self) -> int:
        """The number of outputs."""
        return sum(len(encoder.outputs) for encoder in self._encoders.values())

    def summary(self, width: int = 100) -> str:
        """Return the decisions as a table of text of at most `width` columns."""
        self._require_fitted()
        width = _check.positive_int(width, "width")
        rows = [("column", "kind", "inputs", "what it holds")]
        n_outputs = {name: len(encoder.outputs) for name, encoder in self._encoders.items()}
        for group in _groups(self.decisions):
            first, last = group[0], group[-1]
            name, detail = shown(first.name, 30), first.detail
            if len(group) > 1:
                name = f"{shown(first.name, 18)} ... {shown(last.name, 18)}"
                detail = f"{len(group)} columns"
            outputs = sum(n_outputs.get(decision.name, 0) for decision in group)
            rows.append((name, first.kind, str(outputs or "-"), detail))
        return "\n".join(line[:width].rstrip() for line in aligned(rows, left=(0, 1, 3)))

    def to_json(self) -> dict[str, Any]:
        """Return all but the numbers, as JSON has it."""
        self._require_fitted()
        return {
            "options": {
                "drop": [*self.drop],
                "features": None if self.features is None else [*self.features],
                "categorical": [*self.categorical],
                "numeric": [*self.numeric],
                "dates": [*self.dates],
                "scale": self.scale,
                "most_levels": self.most_levels,
            },
            "places": [*self._places],
            "target": self._target,
            "columns": [
                {
                    "name": decision.name,
                    "kind": decision.kind,
                    "detail": decision.detail,
                    **(
                        {"encoder": self._encoders[decision.name].described()}
                        if decision.name in self._encoders
                        else {}
                    ),
                }
                for decision in self.decisions
            ],
        }

    def tensors(self) -> dict[str, NDArray[np.float64]]:
        """Return the fitted numbers by name; none if there are none."""
        self._require_fitted()
        parameters = np.concatenate([e.parameters for e in self._encoders.values()])
        return {PARAMETERS: parameters} if len(parameters) else {}

    @classmethod
    def from_json(cls, described: Any, tensors: dict[str, NDArray[Any]]) -> Columns:
        """Return the columns of which these are `to_json` and `tensors`, to the same bits.

        Raises
        ------
        CorruptModelError, ConfigError
            They are not what those give.
        """
        reader = Reader(described, _parameters(tensors))
        options = reader.raw("options")
        if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
            raise CorruptModelError("options: got something else than an object of JSON")
        try:
            columns = cls(**options)
        except TypeError as error:
            raise CorruptModelError(f"options: got unknown ones ({error})") from error
        listed = reader.raw("columns")
        if not isinstance(listed, list):
            raise CorruptModelError("columns: got something else than a list")
        decisions, encoders = [], {}
        for entry in listed:
            part = reader.of(entry)
            name, kind = part.text("name"), part.text("kind", KINDS)
            decisions.append(Decision(name, kind, part.text("detail")))
            if kind in USED:
                encoders[name] = ENCODERS[kind].stored(reader.of(part.raw("encoder")))
        reader.finish()
        if len({d.name for d in decisions}) < len(decisions) or not encoders:
            raise CorruptModelError("columns: got one name twice, or no column that is used")
        target = reader.raw("target")
        if target is not None and not isinstance(target, str):
            raise CorruptModelError("target: got something else than a text")
        columns.decisions, columns._encoders = tuple(decisions), encoders
        columns._places, columns._target = reader.texts("places"), target
        return columns

    def _require_fitted(self) -> None:
        if not self._encoders:
            raise ConfigError("columns: got a call before fit, wanted fit(table) first")

    def _require_known(self, names: tuple[str, ...], target: str | None) -> None:
        if target is not None and target not in names:
            raise ConfigError(
                f"target: got {brief(target)}, which is no column{_near(target, names)}"
            )
        for option in ("drop", "features", "categorical", "numeric", "dates"):
            for name in getattr(self, option) or ():
                if name == target and option != "drop":
                    raise ConfigError(f"{option}: got {brief(name)}, which is the target")
                if name not in names:
                    raise ConfigError(
                        f"{option}: got {brief(name)}, which is no column{_near(name, names)}"
                    )


def _table(table: Any) -> Table:
    return table if isinstance(table, Table) else Table(table)


def _columns_of(table: Table, decimal: str | None, strict: bool = True) -> dict[str, Column]:
    """Return the columns of a table by their names, without white space around these."""
    decimal = decimal or table.decimal
    frame = table.frame
    return {
        str(name).strip(): Column(str(name).strip(), frame.iloc[:, i], decimal, strict, table.place)
        for i, name in enumerate(frame.columns)
    }


def _names(value: Any, option: str) -> tuple[str, ...]:
    """Return names of columns; one alone is a tuple of it."""
    if isinstance(value, str):
        value = (value,)
    try:
        names = tuple(value)
    except TypeError:
        names = (value,)
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{option}: got {brief(value)}, wanted names of columns")
    return tuple(dict.fromkeys(str(name).strip() for name in names))


def _kinds_of(**options: tuple[str, ...]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for option, names in options.items():
        for name in names:
            if name in kinds:
                raise ConfigError(
                    f"{option}: got {brief(name)}, in {kinds[name]} too, wanted one kind"
                )
            kinds[name] = option
    return kinds


def _near(name: str, names: Iterable[str]) -> str:
    """Return the names that look most like one, as a part of a sentence."""
    lower = {other.casefold(): other for other in names}
    near = [lower[key] for key in difflib.get_close_matches(name.casefold(), lower, 3)]
    known = near or list(lower.values())[:8]
    if not known:
        return ""
    return f"; {'near it' if near else 'there'} is {_listed(known)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(shown(name)) for name in names[:8]) + (", ..." if len(names) > 8 else "")


def _forced_number(column: Column) -> Judgement:
    if column.numbers is None:
        raise _other_kind(column, "numeric", "numbers", column.is_void)
    return Judgement("number", "as asked for")


def _forced_date(column: Column) -> Judgement:
    if (column.date_form or column.form_of_numbers) is None:
        raise _other_kind(column, "dates", "dates or times of one form", is_date)
    return Judgement("date", "as asked for")


def _other_kind(
    column: Column, option: str, wanted: str, fits: Callable[[str], bool]
) -> InputError:
    """Return the error for a column of another kind than the one asked for, with a cell of it."""
    other = column.are([level for level in column.present if not fits(level)])
    row = int(other.argmax()) if other.any() else int((~column.missing).argmax())
    cell = shown(written(column.series.iloc[row]))
    return InputError(
        f"{option}: got the column {shown(column.name)!r} with {cell!r} in {column.place(row)}, "
        f"wanted {wanted}"
    )


def _groups(decisions: tuple[Decision, ...]) -> list[list[Decision]]:
    groups: list[list[Decision]] = []
    for decision in decisions:
        together = len(decisions) > MOST_LINES and groups and groups[-1][0].kind == decision.kind
        if together:
            groups[-1].append(decision)
        else:
            groups.append([decision])
    return groups


def _parameters(tensors: Any) -> NDArray[np.float64]:
    if not isinstance(tensors, dict):
        raise CorruptModelError(f"tensors: got {brief(tensors)}, wanted a dict of arrays")
    found = tensors.get(PARAMETERS)
    if found is None:
        return np.zeros((0, 4))
    if (
        not isinstance(found, np.ndarray)
        or found.dtype != np.float64
        or found.ndim != 2
        or found.shape[1] != 4
        or not np.isfinite(found).all()
    ):
        raise CorruptModelError(f"{PARAMETERS}: got no finite float64 array of shape (n, 4)")
    return found
