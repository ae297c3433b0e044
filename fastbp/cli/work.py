"""What `fastbp train` trains: a model that is still to be made, and the parts of its data."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._labels import numbered
from ..datasets import split
from ..errors import ConfigError, InputError
from .networkmodel import NetworkModel
from .options import names_of, reading_of
from .problem import Arrays, is_arrays, load_arrays, require_table

__all__ = ["Work", "work_of"]

TEST_FRACTION = 0.2


class Work(NamedTuple):
    """A training to do.

    Attributes
    ----------
    title : str
        What the data are.
    notes : tuple of str
        What was found while they were read and split.
    make : callable
        Returns a model that is not fitted.
    rows : Table or Arrays
        To train on.
    validation, test : Table, Arrays or None
        To tell the best epoch, if the model is not to hold out rows of its own; to score.
    codes : ndarray or None
        The numbers of the classes of `rows`.
    """

    title: str
    notes: tuple[str, ...]
    make: Callable[[], Any]
    rows: Any
    validation: Any
    test: Any
    codes: NDArray[Any] | None


def work_of(arguments: argparse.Namespace) -> Work:
    """Return the training that a command line asks for, its data read and split.

    Raises
    ------
    FastbpError
        The data or an option cannot be used.
    """
    _require_one_test(arguments)
    return (_of_arrays if is_arrays(arguments.dataset) else _of_table)(arguments)


def _require_one_test(arguments: argparse.Namespace) -> None:
    """Refuse two ways to choose the rows to score on."""
    ways = {
        "--test": arguments.test,
        "--test-fraction": arguments.test_fraction,
        "--folds": arguments.folds,
    }
    given = [name for name, value in ways.items() if value is not None]
    if arguments.time_column is not None and given and given != ["--test-fraction"]:
        given.append("--time-column")
    if len(given) > 1:
        raise ConfigError(f"{given[1]}: got one beside {given[0]}, wanted one of them")


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the two kinds of models have in common."""
    return {
        "seed": arguments.seed,
        "epochs": arguments.epochs,
        "patience": arguments.patience,
        "n_threads": arguments.threads,
        "loss": arguments.loss,
        "optimizer": arguments.optimizer,
        "learning_rate": arguments.learning_rate,
        "momentum": arguments.momentum,
        "batch_size": arguments.batch_size,
        "hidden": arguments.hidden,
        "activation": arguments.activation,
        "dropout": arguments.dropout,
        "l2": arguments.l2,
    }


def _parts(n: int, codes: NDArray[Any] | None, arguments: argparse.Namespace) -> Any:
    """Return the rows to train on and those to score on."""
    fraction = TEST_FRACTION if arguments.test_fraction is None else arguments.test_fraction
    rng = np.random.Generator(np.random.PCG64(arguments.seed))
    # In the order of the file: whether numbers rise with the rows tells what they are.
    return map(np.sort, split.parts(n, fraction, rng, codes, "test_fraction"))


def _of_arrays(arguments: argparse.Namespace) -> Work:
    source = arguments.dataset
    for option in ("target", "time_column", "drop", "features", "categorical", "numeric", "date",
                   "header", "encoding", "separator", "decimal", "missing", "report"):  # fmt: skip
        require_table(f"--{option.replace('_', '-')}", getattr(arguments, option), source)
    if arguments.ensemble > 1:
        require_table("--ensemble", arguments.ensemble, source)
    rows, test = load_arrays(source, arguments.task)
    if test is not None and arguments.folds is None:
        require_alone(arguments, source)
    codes = numbered(rows.y, "y") if rows.classes else None
    if arguments.test is not None:
        test = _test_arrays(arguments.test, rows, arguments.task)
    elif test is None and arguments.folds is None:
        a, b = _parts(len(rows), codes, arguments)
        rows, test = rows.take(a), rows.take(b)
        codes = None if codes is None else codes[a]
    options = {k: v for k, v in _options(arguments).items() if v is not None}
    kind = f"{len(rows.classes)} classes" if rows.classes else "regression"
    features = f"{rows.x.shape[1]} features"
    title = f"{source}: {_counted(rows, test)}, {features}, {kind}"
    return Work(title, (), lambda: NetworkModel(**options), rows, None, test, codes)


def require_alone(arguments: argparse.Namespace, source: str) -> None:
    """Refuse to choose test rows where the data set has its own."""
    if arguments.test_fraction is not None:
        raise ConfigError(
            f"--test-fraction: got {arguments.test_fraction} for {source}, which has a test part "
            "of its own, wanted none"
        )


def _test_arrays(path: str, rows: Arrays, task: str | None) -> Arrays:
    if not is_arrays(path):
        raise ConfigError(f"--test: got {path}, wanted arrays, as {rows.name} is")
    own, apart = load_arrays(path, task)
    test = own if apart is None else apart
    if test.x.shape[1] != rows.x.shape[1]:
        raise InputError(
            f"--test: got {test.x.shape[1]} features in {path}, wanted {rows.x.shape[1]}"
        )
    return test


def _counted(rows: Any, test: Any) -> str:
    return (
        f"{len(rows)} training rows"
        if test is None
        else (f"{len(rows)} training and {len(test)} test rows")
    )


def _of_table(arguments: argparse.Namespace) -> Work:
    from ..datasets.table import position
    from ..tables import Columns, Table, TableModel, Target

    reading = reading_of(arguments)
    table = Table.read(arguments.dataset, column=arguments.target, **reading)
    name = table.columns[position(table.columns, arguments.target, table.name)]
    table, values, notes = _with_target(table, name)
    kind = Target(arguments.task, decimal=table.decimal).fit(values)
    classes = kind.task == "classification"
    codes = kind.transform(values) if classes else None
    validation = test = None
    if arguments.test is not None:
        test = Table.read(arguments.test, column=name, **reading)
        test, _, more = _with_target(test, name)
        notes += more
    elif arguments.time_column is not None:
        table, validation, test, more = _by_time(table, arguments)
        notes += more
    elif arguments.folds is None:
        a, b = _parts(len(table), codes, arguments)
        table, test = table.take(a), table.take(b)
        codes = None if codes is None else codes[a]
    chosen: dict[str, Any] = {
        option: names_of(getattr(arguments, argument), table.columns)
        for option, argument in (
            ("drop", "drop"),
            ("categorical", "categorical"),
            ("numeric", "numeric"),
            ("dates", "date"),
        )
    }
    features = names_of(arguments.features, table.columns) or None
    options = _options(arguments)
    seed = options.pop("seed")

    def make() -> TableModel:
        columns = Columns(features=features, **chosen)
        return TableModel(name, kind.task, columns, arguments.ensemble, seed, **options)

    title = f"{arguments.dataset}: {_counted(table, test)}, {len(table.columns)} columns"
    notes = (*table.notes, *notes, kind.note, *kind.warnings)
    return Work(title, notes, make, table, validation, test, codes)


def _with_target(table: Any, name: str) -> tuple[Any, Any, tuple[str, ...]]:
    """Return the rows that have a target, the target, and how many have none."""
    from ..datasets.table import position
    from ..tables import Target

    column = table.columns[position(table.columns, name, table.name)]
    there = np.asarray(Target.rows(table.frame[column]))
    n, n_there = len(table), int(there.sum())
    if n_there == n:
        return table, table.frame[column], ()
    if n_there < 2:
        raise InputError(f"{table.name}: got {n_there} rows with a {name!r}, wanted 2 or more")
    table = table.take(np.flatnonzero(there))
    note = f"{n - n_there} of {n} rows of {table.name} have no {name!r}: left out"
    return table, table.frame[column], (note,)


def _by_time(table: Any, arguments: argparse.Namespace) -> tuple[Any, Any, Any, tuple[str, ...]]:
    """Return the rows to train on, the later ones to validate on, the latest to score on."""
    from ..datasets.table import position
    from ..tables.cells import numbers_of
    from ..tables.dates import dates_of

    name = table.columns[
        position(table.columns, arguments.time_column, table.name, "--time-column")
    ]
    series = table.frame[name]
    numbers = numbers_of(series, table.decimal)
    times = dates_of(series) if numbers is None else numbers[0]
    if times is None:
        raise InputError(
            f"--time-column: got {name!r}, which holds neither dates nor numbers, wanted a column "
            "of times"
        )
    known = ~(np.isnat(times) if times.dtype.kind == "M" else np.isnan(times))
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(times[rows], kind="stable")]
    n = len(rows)
    fraction = TEST_FRACTION if arguments.test_fraction is None else arguments.test_fraction
    n_test = min(max(round(fraction * n), 1), n - 1)
    n_held = round(0.2 * (n - n_test)) if n - n_test >= 10 else 0
    ends = n - n_test - n_held, n - n_test
    parts = [table.take(np.sort(part)) for part in np.split(rows, ends)]
    notes = [f"the test rows are the latest by {name!r}; the best epoch is told by those before"]
    if n < len(table):
        notes.append(f"{len(table) - n} rows have no {name!r}: left out")
    return parts[0], parts[1] if n_held else None, parts[2], tuple(notes)
