"""The model of a table: columns, target and networks, from the file to the prediction."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import _check, models
from .._labels import numbered
from ..callbacks import Callback
from ..datasets import split
from ..datasets.table import position
from ..engine.config import __version__
from ..errors import ConfigError, CorruptModelError, InputError, brief
from ..formats import modelfile
from ..history import History
from ..network import Network, _rebuilt
from ..training.fit import HOOKS
from .columns import Columns
from .scores import Scores, classification_scores, regression_scores
from .table import Table
from .target import Target
from .training import Networks, Stopping, Trained, train_networks

__all__ = ["TableModel"]

# Of what describes a model of a table in its file.
VERSION = 1
# Below this a score and a best epoch say little.
FEW_ROWS = 10


class TableModel:
    """Networks that predict one column of a table from the others, and all that goes with them.

    `fit` learns how the columns become numbers, what the target is, and the networks, each with the
    weights of its best epoch on rows that are held out of the training rows. Everything follows
    from the seed. ``fastbp train`` makes such models.

    Parameters
    ----------
    target : str or int, optional
        The column to predict, by name or position; negative positions count from the end. The
        default is the last one.
    task : {"classification", "regression"}, optional
        What the target is; see `Target`.
    columns : Columns, optional
        How columns become numbers, if not by default; a copy of it is fitted.
    ensemble : int
        Networks of different seeds, whose probabilities or standardised values are averaged.
    seed : int
        Of the rows that are held out and of the networks.
    validation_fraction : float
        The share of the training rows that tells the best epoch; each class has its share.
    epochs : int, optional
        Passes over the rows; the default suits their number.
    patience : int, optional
        Epochs without an improvement after which a network is done; by default it trains them all,
        and the best one is used.
    n_threads : int, optional
        The result does not depend on it.
    **options
        Of `fastbp.models.tabular`: ``hidden``, ``dropout``, ``learning_rate`` and others.

    Attributes
    ----------
    columns : Columns
        Fitted by `fit`.
    target : Target
        Fitted by `fit`.
    target_name : str or None
        The column that is predicted.
    networks : tuple of Network
        They take what ``columns.transform`` returns.
    histories : tuple of History
        Of each network.
    epochs : int or None
        Passes over the rows of each network; what suits their number, once that is known.
    best_epochs : tuple of int
        Of each network the epoch, from 1, whose weights it has.
    notes : tuple of str
        What a user should know: rows that were left out, the choice of the task, a second attempt.
    record : dict
        Of the training: rows, options, versions, scores that were set.

    Raises
    ------
    ConfigError
        An option is unknown or out of its range.

    Examples
    --------
    >>> import fastbp as fb
    >>> rows = {"width": [1.0, 2.0, 3.0, 4.0] * 10, "kind": ["a", "a", "b", "b"] * 10}
    >>> model = fb.tables.TableModel("kind", epochs=40, learning_rate=0.05).fit(rows)
    >>> model.predict({"width": [1.5, 3.5]}).tolist()
    ['a', 'b']
    """

    def __init__(
        self,
        target: str | int | None = None,
        task: str | None = None,
        columns: Columns | None = None,
        ensemble: int = 1,
        seed: int = 0,
        *,
        validation_fraction: float = 0.2,
        epochs: int | None = None,
        patience: int | None = None,
        n_threads: int | None = None,
        **options: Any,
    ) -> None:
        if task is not None:
            task = _check.choice(task, ("classification", "regression"), "task")
        if columns is not None and not isinstance(columns, Columns):
            raise ConfigError(f"columns: got {brief(columns)}, wanted a Columns, or None")
        name = _check.text(target)
        is_place = isinstance(target, int | np.integer) and not isinstance(target, bool)
        if target is not None and name is None and not is_place:
            raise ConfigError(
                f"target: got {brief(target)}, wanted the name or position of a column"
            )
        self._wanted, self._task = target if name is None else name, task
        found = _check.seed(seed)
        if found is None:
            raise ConfigError("seed: got None, wanted an integer >= 0, from which all follows")
        self.seed = found
        self._ensemble = _check.positive_int(ensemble, "ensemble")
        self._fraction = _check.share(validation_fraction, "validation_fraction")
        self._wanted_epochs = _check.optional_int(epochs, "epochs")
        self._patience = None if patience is None else _check.whole(patience, "patience")
        self._n_threads = _check.optional_int(n_threads, "n_threads")
        self._options = {name: value for name, value in options.items() if value is not None}
        self.columns = Columns() if columns is None else copy.deepcopy(columns)
        self._stopping = Stopping()
        self._forget()

    def _forget(self) -> None:
        self.epochs = self._wanted_epochs
        self.target = Target(self._task)
        self.target_name: str | None = None
        self.networks: tuple[Network, ...] = ()
        self.histories: tuple[History, ...] = ()
        self.best_epochs: tuple[int, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.record: dict[str, Any] = {}

    def fit(
        self,
        train: Any,
        validation: Any = None,
        progress: bool = False,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        resume: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learn columns, target and networks from a table.

        Parameters
        ----------
        train : Table, frame or dict
            Rows without a target are left out.
        validation : Table, frame or dict, optional
            Rows that tell the best epoch; by default some of `train` are held out.
        progress : bool
            Whether to draw a progress bar on stderr.
        callbacks : sequence of Callback
            Of each network, as for `Trainer.fit`. In ``on_fit_begin`` the model has columns and
            target.
        checkpoint : path-like, optional
            A file to which the training is written on its way; of further networks with ``.2``,
            ``.3`` at the end.
        resume : path-like, optional
            A checkpoint to go on from, to the same bits, with the same table and options.

        Returns
        -------
        TableModel
            This one.

        Raises
        ------
        InputError, LabelError, ShapeError, ConfigError
            The table or an option cannot be used.
        DivergenceError
            Training diverges, at a tenth of the learning rate too.
        """
        progress = _check.flag(progress, "progress")
        given = _check.callbacks(callbacks, HOOKS)
        files = [
            None if path is None else _check.path(path, name)
            for path, name in ((checkpoint, "checkpoint"), (resume, "resume"))
        ]
        self._stopping = Stopping()
        self._forget()
        table, values = self._with_target(_table(train))
        self.target = Target(self._task, decimal=table.decimal).fit(values)
        self.columns.fit(table, self.target_name)
        self.notes += self.target.warnings
        held = None
        if validation is not None:
            held = self._known_rows(*self._with_target(_table(validation)))
        y = self.target.transform(values)
        x, xy = self._examples(self.columns.transform(table), y, held)
        self._note_training(table, y, xy)
        epochs = self._wanted_epochs or models.tabular_epochs(len(x[1]))
        self.epochs = epochs
        networks = Networks(
            self._n_outputs,
            self.target.task,
            self._ensemble,
            self.seed,
            epochs,
            self._patience,
            self._n_threads,
            self._options,
        )
        found = train_networks(*x, xy, networks, self._stopping, progress, given, *files)
        self._take(found)
        return self

    def stop(self, reason: str = "stop") -> None:
        """End the running `fit` after the step that it is doing; see `Trainer.stop`.

        The model has the networks that were begun, the last one at its best epoch so far; none if
        no step was done.

        Raises
        ------
        ConfigError
            The reason is no text, or empty.
        """
        text = _check.text(reason)
        if not text:
            raise ConfigError(f"reason: got {brief(reason)}, wanted a text")
        self._stopping.stop(text)

    def outputs(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return probabilities [rows, classes], or values [rows] in the units of the target.

        Parameters
        ----------
        x : ndarray
            What ``columns.transform`` returns.
        """
        target = self._fitted()
        found = [network.predict(x) for network in self.networks]
        outputs: NDArray[np.float64] = np.mean(found, axis=0, dtype=np.float64)
        if target.task == "classification":
            return outputs
        return np.asarray(target.in_units(outputs[:, 0]), np.float64)

    def predict(self, table: Any) -> NDArray[Any]:
        """Return the label of each row as it is written in the training file, or its value.

        Raises
        ------
        ConfigError
            The model is not fitted.
        ShapeError, InputError
            A column is missing, or holds something else than in training.
        """
        target, outputs = self._fitted(), self._of_rows(_table(table))
        if target.task == "classification":
            labels: NDArray[Any] = target.labels(outputs.argmax(axis=1))
            return labels
        return outputs

    def predict_proba(self, table: Any) -> NDArray[np.float64]:
        """Return the probabilities [rows, classes], in the order of ``target.classes``.

        Raises
        ------
        ConfigError
            The model is not fitted, or its target has no classes.
        ShapeError, InputError
            As for `predict`.
        """
        if self._fitted().task != "classification":
            raise ConfigError(
                f"predict_proba: got a model of the quantity {self.target_name!r}, wanted one of "
                "classes; predict returns its values"
            )
        return self._of_rows(_table(table))

    def evaluate(self, table: Any, strict: bool = True) -> Scores:
        """Return the scores of the rows that have a target.

        Parameters
        ----------
        table : Table, frame or dict
            With the column of the target.
        strict : bool
            As for `Columns.transform`: False for rows that were cut from the file of the training
            rows.

        Raises
        ------
        ConfigError
            The model is not fitted, or the table has no column of the target.
        ShapeError, InputError
            As for `predict`.
        """
        target, (table, y) = self._fitted(), self.truth(table)
        outputs = self._of_rows(table, _check.flag(strict, "strict"))
        if target.task == "regression":
            return regression_scores(y, outputs, self.record["mean"])
        return classification_scores(y, outputs, target.classes, np.array(self.record["shares"]))

    def truth(self, table: Any) -> tuple[Table, NDArray[Any]]:
        """Return the rows that have a target, and what they have.

        That is the number of the class, or -1 for a label that training did not have; or the value
        in the units of the target.

        Raises
        ------
        ConfigError
            The model is not fitted, or the table has no column of the target.
        """
        target = self._fitted()
        table, values = self._rows_with_target(_table(table))
        if target.task == "regression":
            return table, np.asarray(target.values(values), np.float64)
        codes = np.full(len(table), -1, np.int64)
        known = np.flatnonzero(np.asarray(target.known(values)))
        if len(known):
            codes[known] = target.transform(values.iloc[known])
        return table, codes

    def summary(self, width: int = 100) -> str:
        """Return what becomes of each column, as a table of text of at most `width` columns.

        What the target is says ``target.note``.

        Raises
        ------
        ConfigError
            `fit` has not got so far.
        """
        return self.columns.summary(width)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a safetensors file; `TableModel.load` reads it back.

        A file already there stays whole until the new one is: the write is atomic.

        Raises
        ------
        ConfigError
            The model is not fitted.
        OSError
            The folder does not exist, is not writable or is full.
        """
        modelfile.write(path, *self._packed())

    def _packed(self) -> tuple[dict[str, Any], modelfile.Tensors, None, dict[str, Any]]:
        """Return what `modelfile.write` takes."""
        target, architectures = self._fitted(), []
        tensors: modelfile.Tensors = {}
        for i, (network, history) in enumerate(zip(self.networks, self.histories, strict=True)):
            architecture, of_network = network._packed()
            architectures.append(architecture)
            tensors |= {f"networks.{i}.{name}": array for name, array in of_network.items()}
            tensors |= {f"histories.{i}.{name}": np.array(c) for name, c in history.items()}
        tensors |= self.columns.tensors()
        table = {
            "version": VERSION,
            "columns": self.columns.to_json(),
            "target": target.to_json(),
            "target_name": self.target_name,
            "stopped": [history.stopped for history in self.histories],
            "best_epochs": list(self.best_epochs),
            "notes": list(self.notes),
            "record": self.record,
        }
        return {"networks": architectures}, tensors, None, table

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TableModel:
        """Return the model that `save` wrote to `path`; it predicts the same, bit for bit.

        Raises
        ------
        CorruptModelError
            The file is not a whole, unchanged model of a table.
        FormatVersionError
            It is of another version of the format.
        OSError
            The file does not exist or cannot be read.
        """
        architecture, tensors, table = modelfile.read_any(path)
        if table is None:
            raise CorruptModelError(
                f"{_check.path(path)} holds a network, not the model of a table: fastbp.load reads "
                "it"
            )
        return cls._of(path, architecture, tensors, table)

    @classmethod
    def _of(
        cls,
        path: object,
        architecture: dict[str, Any],
        tensors: modelfile.Tensors,
        table: dict[str, Any],
    ) -> TableModel:
        """Return the model that a file at `path` describes."""
        try:
            return cls._rebuilt(architecture, tensors, table)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
                ValueError) as error:  # fmt: skip
            text = f"{path} describes no usable model of a table: {error}"
            raise CorruptModelError(text) from error

    @classmethod
    def _rebuilt(
        cls, architecture: dict[str, Any], tensors: modelfile.Tensors, table: dict[str, Any]
    ) -> TableModel:
        if table["version"] != VERSION:
            raise ValueError(f"version {table['version']}, this fastbp reads version {VERSION}")
        parts = _Parts(tensors)
        record = table["record"]
        model = cls(table["target_name"], ensemble=len(architecture["networks"]))
        model.columns = Columns.from_json(table["columns"], parts.of("columns."))
        model.target = Target.from_json(table["target"])
        model.target_name = str(table["target_name"])
        model.seed = int(record["seed"])
        model.notes, model.record = tuple(map(str, table["notes"])), dict(record)
        model.best_epochs = tuple(map(int, table["best_epochs"]))
        described = architecture["networks"]
        numbers = {name.split(".")[1] for name in tensors if name.startswith("networks.")}
        if len(described) != len(numbers):  # before any is made: a forged file may ask for many
            raise ValueError(f"it has {len(described)} networks and tensors for {len(numbers)}")
        for i, (each, stopped) in enumerate(zip(described, table["stopped"], strict=True)):
            network = _rebuilt(each, parts.of("networks.", i))
            wanted = model.columns.n_outputs, model._n_outputs
            if (network.n_inputs, network.n_outputs) != wanted:
                raise ValueError(f"networks[{i}] does not fit columns and target")
            columns = {name: c.tolist() for name, c in parts.of("histories.", i).items()}
            epochs = max(map(len, columns.values()), default=0)
            if not epochs or any(np.shape(column) != (epochs,) for column in columns.values()):
                raise ValueError(f"histories[{i}] has columns of different lengths")
            model.networks += (network,)
            model.histories += (History._of(columns, epochs, stopped, None),)
        if parts.left or len(model.best_epochs) != len(model.networks) or not model.networks:
            raise ValueError("the tensors do not fit the description")
        model._require_record()
        return model

    def _require_record(self) -> None:
        """See that the record has what `evaluate` and the command read of it."""
        missing = self.record["missing"]
        if not isinstance(missing, list) or not all(isinstance(word, str) for word in missing):
            raise ValueError("missing: got something else than a list of texts")
        if not isinstance(self.record["header"], bool):
            raise ValueError("header: got something else than true or false")
        if self._classes:
            shares = np.array(self.record["shares"], np.float64)
            if shares.shape != (len(self._classes),):
                raise ValueError("the shares do not fit the classes")
        else:
            float(self.record["mean"])

    @property
    def _classes(self) -> tuple[str, ...]:
        target = self.target
        return tuple(target.classes) if target.task == "classification" else ()

    @property
    def _n_outputs(self) -> int:
        return len(self._classes) or 1

    def _fitted(self) -> Target:
        """Return the target of a model that has networks."""
        if not self.networks:
            raise ConfigError("model: got one without networks, wanted fit first")
        return self.target

    def _with_target(self, table: Table) -> tuple[Table, Any]:
        """Return the rows of a table to train on that have a target, and the target of these."""
        if self.target_name is None:
            self.target_name = table.columns[position(table.columns, self._wanted, table.name)]
        n = len(table)
        table, values = self._rows_with_target(table)
        if len(table) < n:
            self.notes += (f"{n - len(table)} of {n} rows have no {self.target_name!r}: left out",)
        if len(table) < 2:
            raise InputError(
                f"{table.name}: got {len(table)} rows with a {self.target_name!r}, wanted 2 or more"
            )
        return table, values

    def _rows_with_target(self, table: Table) -> tuple[Table, Any]:
        name = table.columns[position(table.columns, self.target_name, table.name)]
        there = np.asarray(Target.rows(table.frame[name]))
        if not there.all():
            table = table.take(np.flatnonzero(there))
        return table, table.frame[name]

    def _known_rows(self, table: Table, values: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return rows and targets of a table to validate on, without classes that are not known."""
        target = self.target
        if target.task == "classification":
            known = np.flatnonzero(np.asarray(target.known(values)))
            table, values = table.take(known), values.iloc[known]
        return self.columns.transform(table, strict=False), target.transform(values)

    def _examples(
        self, x: NDArray[Any], y: NDArray[Any], held: tuple[NDArray[Any], NDArray[Any]] | None
    ) -> tuple[tuple[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]] | None]:
        """Return rows and targets to train on, and those that tell the best epoch."""
        if held is not None or len(y) < FEW_ROWS:
            return (x, y), held if held is not None and len(held[1]) else None
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, 0])))
        codes = numbered(y, "y") if self._classes else None
        parts = split.parts(len(y), self._fraction, rng, codes, "validation_fraction")
        train, out = map(np.sort, parts)
        return (x[train], y[train]), (x[out], y[out])

    def _note_training(self, table: Table, y: NDArray[Any], held: Any) -> None:
        """Note what the scores need of the training rows, and what made the model."""
        n = len(y)
        if n < FEW_ROWS:
            self.notes += (
                f"only {n} rows to train on: the scores of so few say little; 50 or more are "
                "wanted",
            )
        self.record = {
            "rows": n,
            "validation_rows": 0 if held is None else len(held[1]),
            "seed": self.seed,
            "header": table.has_header,
            "missing": list(table.options.get("missing", ())),
            "options": {name: _plain(value) for name, value in self._options.items()},
            "versions": {"fastbp": __version__, "numpy": np.__version__},
        }
        if self._classes:
            counts = np.bincount(y, minlength=len(self._classes))
            self.record["shares"] = (counts / n).tolist()
        else:
            self.record["mean"] = float(np.mean(self.target.in_units(np.asarray(y, float))))

    def _take(self, found: Sequence[Trained]) -> None:
        self.networks = tuple(trained.network for trained in found)
        self.histories = tuple(trained.history for trained in found)
        self.best_epochs = tuple(trained.best_epoch for trained in found)
        self.notes += tuple(dict.fromkeys(note for trained in found for note in trained.notes))
        self.record["epochs"] = [history.epochs for history in self.histories]

    def _of_rows(self, table: Table, strict: bool = True) -> NDArray[np.float64]:
        return self.outputs(self.columns.transform(table, strict))


class _Parts:
    """The tensors of a file, part by part."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self.left = dict(tensors)

    def of(self, prefix: str, index: int | None = None) -> dict[str, NDArray[Any]]:
        """Take out those whose names begin so; with an index without this beginning."""
        begin = prefix if index is None else f"{prefix}{index}."
        names = [name for name in self.left if name.startswith(begin)]
        cut = 0 if index is None else len(begin)
        return {name[cut:]: self.left.pop(name) for name in names}


def _table(value: Any) -> Table:
    return value if isinstance(value, Table) else Table(value)


def _plain(value: Any) -> Any:
    """Return an option as JSON can hold it."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return repr(value)
    return value
