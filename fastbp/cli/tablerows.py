"""A file as the rows that a saved model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.table import numbers, words
from ..errors import ShapeError
from ..network import Network
from .networkmodel import NetworkModel
from .problem import Arrays, array_inputs

if TYPE_CHECKING:
    from ..tables import Table

__all__ = ["network_inputs", "network_rows", "read_for", "table_of_arrays"]


def read_for(model: Any, source: str, reading: dict[str, Any]) -> Table:
    """Return the table of a file, read so that the columns of the model are found."""
    from ..tables import Table

    wanted: tuple[str, ...] = ()
    if isinstance(model, NetworkModel):
        wanted = tuple(model.network.columns or ())
    else:
        wanted = tuple(model.columns.inputs) if model.record["header"] else ()
        reading = reading | {"missing": reading["missing"] or tuple(model.record["missing"])}
    return Table.read(source, column=wanted[0] if wanted else None, **reading)


def table_of_arrays(source: str, model: Any) -> Table:
    """Return the arrays of a file as the table that a model without names of columns takes."""
    from ..tables import Table

    x = array_inputs(source, len(model.columns.inputs))
    frame = {str(i): column for i, column in enumerate(x.T.astype(np.float64))}
    table = Table(frame, source)
    table.has_header = False
    return table


def network_inputs(network: Network, table: Table) -> NDArray[Any]:
    """Return the columns of a table that a network takes: by their names, or as they lie.

    Raises
    ------
    ShapeError
        A column is missing, or they are not as many as the network takes.
    InputError
        A cell is missing or is no number.
    """
    return numbers(table, _inputs_of(network, table))


def _inputs_of(network: Network, table: Table) -> list[str]:
    columns, wanted = list(table.columns), network.columns
    if table.has_header and wanted:
        missing = [name for name in wanted if name not in columns]
        if missing:
            raise ShapeError(f"{table.name}: got no column {missing[0]!r}, the model wants it")
        return list(wanted)
    target = network.metadata.get("target", "")
    if len(columns) == network.n_inputs:
        return columns
    # Without names to go by, one column more than features is the target where training had it.
    if len(columns) == network.n_inputs + 1 and target.isdecimal() and int(target) < len(columns):
        return columns[: int(target)] + columns[int(target) + 1 :]
    raise ShapeError(
        f"{table.name}: got {len(columns)} columns, the model wants {network.n_inputs} features"
    )


def network_rows(model: NetworkModel, table: Table) -> Arrays:
    """Return the rows and the target of a table that a network was trained on.

    Raises
    ------
    ShapeError, InputError
        As `network_inputs`; or there is no column that is the target.
    """
    network = model.network
    features = set(_inputs_of(network, table))
    name = network.metadata.get("target", "")
    rest = [column for column in table.columns if column not in features]
    if name not in rest:
        if len(rest) != 1:
            raise ShapeError(
                f"{table.name}: got {len(rest)} columns that may be the target, wanted one"
            )
        name = rest[0]
    x = network_inputs(network, table)
    if model.has_classes:
        classes, codes = np.unique(words(table, name), return_inverse=True)
        return Arrays(table.name, x, codes, tuple(classes.tolist()))
    return Arrays(table.name, x, numbers(table, [name]))
