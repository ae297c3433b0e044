"""From a configuration, a dict of options, to a trainer."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check, _labels
from .._affine import Affine
from ..errors import ConfigError, brief
from ..layers import Dense, Layer
from ..losses import LOSSES, Loss
from ..network import Network
from ..trainer import Trainer

__all__ = ["FIT", "Targets", "trainer_of"]

NETWORK = ("hidden", "activation", "dropout", "layers", "dtype", "preprocessing")
TRAINER = tuple(inspect.signature(Trainer).parameters)[1:]
# Options of `Trainer.fit`.
FIT = ("epochs", "callbacks")


class Targets:
    """What the targets of all rows are; found when it is first asked for.

    Parameters
    ----------
    y : array_like
    """

    def __init__(self, y: Any) -> None:
        self._y = y

    @cached_property
    def _read(self) -> NDArray[Any]:
        return _labels._read(self._y, "y")[0]

    @property
    def are_labels(self) -> bool:
        """Whether they are strings, bools, integers or categories, one a row."""
        return self._read.ndim == 1 and self._read.dtype.kind != "f"

    @property
    def n_columns(self) -> int:
        """Of one dimension there is one."""
        return self._read.shape[1] if self._read.ndim == 2 else 1

    @cached_property
    def n_labels(self) -> int:
        """The number of different labels; of rows of targets, that of their columns."""
        return len(set(self._read.tolist())) if self._read.ndim == 1 else self.n_columns

    @cached_property
    def codes(self) -> NDArray[np.intp] | None:
        """The number of the class of each row, if they are labels."""
        return np.unique(self._read, return_inverse=True)[1] if self.are_labels else None


MapOf = Callable[[Affine], Affine]


def trainer_of(
    config: Mapping[str, Any], n_inputs: int, targets: Targets, map_of: MapOf
) -> Trainer:
    """Return a trainer of a new network; nothing that changes while it trains is shared.

    Parameters
    ----------
    config : dict
        See `fastbp.train_many`.
    n_inputs : int
        Columns of x.
    targets : Targets
        Of all rows; the output layer is found from them if it is not given.
    map_of : callable
        Fits a map of `fastbp.preprocess` to the rows that this network is trained on.

    Raises
    ------
    ConfigError
        An option is unknown or out of its range, or there are no layers.
    """
    unknown = [name for name in config if name not in (*NETWORK, *TRAINER, *FIT)]
    if unknown:
        raise ConfigError(
            f"got the option {brief(unknown[0])}, wanted some of "
            f"{', '.join((*NETWORK, *TRAINER, *FIT))}"
        )
    loss, layers = config.get("loss"), config.get("layers")
    if (layers is None) == (config.get("hidden") is None):
        both = "both" if layers is not None else "neither"
        raise ConfigError(
            f"hidden: got {both} of hidden and layers, wanted hidden=[64, ...], the widths of "
            "hidden layers, or layers=[fb.Dense(...), ...] with the output layer"
        )
    if layers is None:
        loss, output = _output(loss, targets)
        layers = [*_hidden(config), output]
    elif loss is None:
        raise ConfigError("loss: got none with layers, wanted one, such as 'cross_entropy'")
    preprocessing, seed = config.get("preprocessing"), config.get("seed")
    if isinstance(preprocessing, Affine) and preprocessing._mean is None:
        preprocessing = map_of(preprocessing)
    dtype = config.get("dtype", "float32")
    network = Network(n_inputs, layers, dtype, seed, preprocessing)
    options = {name: config[name] for name in TRAINER if name in config} | {"loss": loss}
    # A schedule goes on with what it has seen.
    options["optimizer"] = copy.deepcopy(options.get("optimizer"))
    return Trainer(network, **options)


def _hidden(config: Mapping[str, Any]) -> list[Layer]:
    given = config["hidden"]
    widths = [given] if _check._integer(given) is not None else given
    try:
        widths = list(widths)
    except TypeError as error:
        raise ConfigError(f"hidden: got {brief(given)}, wanted a list of widths") from error
    options = {name: config[name] for name in ("activation", "dropout") if name in config}
    widths = [_check.positive_int(width, "hidden") for width in widths]
    return [Dense(width, **{"activation": "relu", **options}) for width in widths]


def _output(loss: Any, targets: Targets) -> tuple[Any, Dense]:
    """Return the loss, and the output layer that it wants for these targets."""
    if loss is None:
        loss = "cross_entropy" if targets.are_labels else "squared_error"
    found = LOSSES[_check.choice(loss, LOSSES, "loss")] if isinstance(loss, str) else loss
    if not isinstance(found, Loss):
        return loss, Dense(targets.n_columns, "linear")
    of_classes = found.name in ("cross_entropy", "multiclass_hinge")
    n_outputs = targets.n_labels if of_classes else targets.n_columns
    return loss, Dense(n_outputs, (found.outputs or ("linear",))[0])
