"""A model as plain arrays with a description, for programs that know nothing of fastbp.

The description has ``networks``, a list: of each network its ``layers`` from the input to the
output, with units and activation, and of a model of a table ``columns`` and ``target``. The arrays
are ``networks.<i>.layers.<j>.weight`` [inputs, units] and ``bias`` [units]: a layer computes
``activation(x @ weight + bias)``. A ``preprocessing`` comes first:
``(x - preprocessing.mean) @ preprocessing.matrix``, or ``*`` where the matrix is one row.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from .modelfile import Tensors

__all__ = ["npz", "text"]


def npz(described: dict[str, Any], tensors: Tensors) -> bytes:
    """Return an ``.npz`` file: the arrays by their names, and ``description``, JSON as text."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {"description": np.array(json.dumps(described)), **tensors}
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def text(described: dict[str, Any], tensors: Tensors) -> bytes:
    """Return a JSON file: ``description``, and ``arrays``, lists of lists by their names.

    Numbers have as many digits as they need to come back as they were; what is no finite number is
    null.
    """
    arrays = {name: _plain(array.tolist()) for name, array in tensors.items()}
    whole = {"description": described, "arrays": arrays}
    return json.dumps(whole, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if np.isfinite(value) else None
