"""The model of a file: of a table, or a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..formats import modelfile
from ..network import network_of
from .networkmodel import NetworkModel

if TYPE_CHECKING:
    from ..tables.model import TableModel

__all__ = ["load_model"]


def load_model(path: str) -> TableModel | NetworkModel:
    """Return the model that a file holds; it is read once, so that it may be a pipe.

    Raises
    ------
    CorruptModelError, FormatVersionError, OSError
        As `fastbp.load`.
    """
    architecture, tensors, table = modelfile.read_any(path)
    if table is None:
        return NetworkModel.of(network_of(path, architecture, tensors))
    from ..tables.model import TableModel

    return TableModel._of(path, architecture, tensors, table)
