"""The network of a table's model for programs without tables, and what goes in and out in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .._affine import Affine
from ..errors import ConfigError, InputError
from ..network import Network

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from .model import TableModel

__all__ = ["Portable", "portable"]


class Portable(NamedTuple):
    """A network without its table.

    Attributes
    ----------
    network : Network
        A copy that takes what ``columns.transform`` returns, with the names of these inputs, and
        gives the probabilities of its classes, or a quantity in its unit or that unit's logarithm.
    inputs : tuple of str
        The name of each input, and how it follows from a cell v of its column.
    output : str
        What the outputs are.
    """

    network: Network
    inputs: tuple[str, ...]
    output: str


def portable(model: TableModel, dtype: DTypeLike | None = None) -> Portable:
    """Return the one network of a fitted model, in `dtype` if given.

    Raises
    ------
    ConfigError
        The model has several networks.
    InputError
        The unit of the target is beyond the range of the dtype.
    """
    if len(model.networks) > 1:
        raise ConfigError(
            f"model: got an ensemble of {len(model.networks)} networks, wanted a model of one, as "
            "fastbp train makes without --ensemble; npz and json hold them all"
        )
    network, target = model.networks[0].copy(dtype), model.target
    names = model.columns.names_out
    if len(set(names)) == len(names):  # "a=b" is a column's name or the level b of a
        network.columns = names
    if target.task == "classification":
        network.classes = list(target.classes)
        output = f"y: the probability of each class of {model.target_name!r}"
    else:
        mean, factor = target.scaling
        try:
            Affine([mean], [factor]).fold_into_outputs(network)
        except InputError as error:
            raise InputError(
                f"model: got values of {model.target_name!r} beyond the range of {network.dtype}, "
                "wanted smaller ones, or --to c --dtype double"
            ) from error
        output = f"y: {model.target_name!r}"
        if target.formula:
            output = f"y: the logarithm that {model.target_name!r} follows from: {target.formula}"
    inputs = zip(names, model.columns.formulas_out, strict=True)
    return Portable(network, tuple(f"{name}: {formula}" for name, formula in inputs), output)
