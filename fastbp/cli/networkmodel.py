"""A network trained on arrays, used as `fastbp.tables.TableModel` is, without pandas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import models
from .._labels import numbered
from ..callbacks import Callback
from ..datasets import split
from ..errors import ConfigError, LabelError, ShapeError
from ..history import History
from ..network import Network
from ..preprocess import Standardize
from ..tables.scores import Scores, classification_scores, regression_scores
from ..tables.training import Networks, Stopping, train_networks
from .problem import Arrays

__all__ = ["NetworkModel"]

# In standard deviations: further from the mean no value of the training data is to lie.
_FARTHEST = 20.0
# The key of the record in the metadata of a network.
RECORD = "fastbp.record"
FEW_ROWS = 10


class NetworkModel:
    """One network on arrays.

    Parameters
    ----------
    seed, validation_fraction, epochs, patience, n_threads, options
        As of `TableModel`.
    """

    def __init__(
        self,
        seed: int = 0,
        validation_fraction: float = 0.2,
        epochs: int | None = None,
        patience: int | None = None,
        n_threads: int | None = None,
        **options: Any,
    ) -> None:
        self.seed, self._fraction = seed, validation_fraction
        self._wanted_epochs, self.epochs = epochs, epochs
        self._patience, self._n_threads = patience, n_threads
        self._options = options
        self._stopping = Stopping()
        self.networks: tuple[Network, ...] = ()
        self.histories: tuple[History, ...] = ()
        self.best_epochs: tuple[int, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.record: dict[str, Any] = {}

    @classmethod
    def of(cls, network: Network) -> NetworkModel:
        """Return the model of a network that was trained somewhere."""
        model = cls()
        model.networks = (network,)
        try:
            model.record = dict(json.loads(network.metadata.get(RECORD, "{}")))
        except (TypeError, ValueError):  # the user's own text
            model.record = {}
        return model

    @property
    def network(self) -> Network:
        """The network: it takes the numbers of the data set, and gives those of the target."""
        return self.networks[0]

    @property
    def has_classes(self) -> bool:
        """Whether the network tells classes: it knows them, or has a softmax layer."""
        network = self.network
        return network.classes is not None or network.layers[-1].activation == "softmax"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes as text, in the order of the outputs."""
        labels = self.network.classes
        n = max(self.network.n_outputs, 2)
        return tuple(map(str, range(n) if labels is None else labels.tolist()))

    def fit(
        self,
        train: Arrays,
        validation: Arrays | None = None,
        progress: bool = False,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | None = None,
        resume: str | None = None,
    ) -> NetworkModel:
        """Train on standardised rows; the map goes into the first and the last layer."""
        x, y, classes = train.x, train.y, train.classes
        inputs = Standardize(shared=train.images, farthest=_FARTHEST).fit(x)
        targets = None
        if not classes:
            targets = Standardize(farthest=_FARTHEST).fit(y)
            y = targets.transform(y)
        rows, held = (x, y), None
        if len(y) >= FEW_ROWS:
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, 0])))
            codes = numbered(y, "y") if classes else None
            a, b = split.parts(len(y), self._fraction, rng, codes, "validation_fraction")
            rows, held = (x[a], y[a]), (x[b], y[b])
        self.epochs = self._wanted_epochs or models.tabular_epochs(len(rows[1]))
        task = "classification" if classes else "regression"
        networks = Networks(
            train.n_outputs,
            task,
            1,
            self.seed,
            self.epochs,
            self._patience,
            self._n_threads,
            self._options | {"preprocessing": inputs},
        )
        found = train_networks(
            *rows, held, networks, self._stopping, progress, callbacks, checkpoint, resume
        )
        self.networks = tuple(trained.network.fold() for trained in found)
        self.histories = tuple(trained.history for trained in found)
        self.best_epochs = tuple(trained.best_epoch for trained in found)
        self.notes = tuple(note for trained in found for note in trained.notes)
        self.record = {
            "rows": len(y),
            "validation_rows": 0 if held is None else len(held[1]),
            "seed": self.seed,
            "epochs": [history.epochs for history in self.histories],
        }
        if classes:
            shares = np.bincount(y, minlength=len(classes)) / len(y)
            self.record["shares"] = shares.tolist()
        else:
            self.record["mean"] = train.y.mean(axis=0, dtype=float).tolist()
        for network in self.networks:
            network.classes = classes or None
            if targets is not None:
                targets.fold_into_outputs(network)
        return self

    def stop(self, reason: str) -> None:
        """End training after the step that is running."""
        self._stopping.stop(reason)

    def evaluate(self, rows: Arrays, strict: bool = True) -> Scores:
        """Return the scores of rows; the baseline is that of the training, if it is known.

        `strict` is as for a table; arrays have no cells of other kinds.
        """
        if rows.x.shape[1] != self.network.n_inputs:
            raise ShapeError(
                f"{rows.name}: got {rows.x.shape[1]} features, the model wants "
                f"{self.network.n_inputs}"
            )
        if not self.has_classes:
            outputs = np.asarray(self.network.predict(rows.x), np.float64)
            if rows.classes:
                raise LabelError(
                    f"{rows.name}: got classes, the model wants values (--task regression)"
                )
            mean = np.array(self.record.get("mean", rows.y.mean(axis=0, dtype=float)))
            if outputs.shape[1] == 1:
                return regression_scores(rows.y[:, 0], outputs[:, 0], float(mean.ravel()[0]))
            # Of several outputs all values together, each from its own mean.
            return regression_scores((rows.y - mean).ravel(), (outputs - mean).ravel(), 0.0)
        if not rows.classes:
            raise LabelError(f"{rows.name}: got values, the model wants classes")
        known = {label: code for code, label in enumerate(self.classes)}
        table = np.array([known.get(str(label), -1) for label in rows.classes])
        codes = table[rows.y]
        shares = self.record.get("shares")
        if shares is None:
            counted = np.bincount(codes[codes >= 0], minlength=len(known))
            shares = counted / max(counted.sum(), 1)
        return classification_scores(codes, self.probabilities(rows.x), self.classes, shares)

    def probabilities(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability of each class for some rows.

        Raises
        ------
        ConfigError
            The outputs are no probabilities.
        """
        last = self.network.layers[-1].activation
        outputs = np.asarray(self.network.predict(x), np.float64)
        if last == "sigmoid" and outputs.shape[1] == 1:
            return np.column_stack([1 - outputs, outputs])
        if last != "softmax":
            raise ConfigError(f"model: got {last} outputs, wanted softmax or one sigmoid output")
        return outputs

    def summary(self, width: int = 100) -> str:
        """Return nothing: arrays need no decisions."""
        return ""

    def save(self, path: str) -> None:
        """Write the network to a file that `fastbp.load` reads."""
        if not self.networks:
            raise ConfigError("model: got none, wanted one that is trained")
        self.network.metadata[RECORD] = json.dumps(self.record)
        self.network.save(path)
