"""What a call gives and leaves behind as a text, so that two calls can be compared to the last bit."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

import fastbp as fb

# Of a history: not the same twice.
CLOCK = ("seconds",)


def state(owner: Any, names: bool = True) -> str:
    """SHA-256 of all that training may change: of a trainer its whole state, of a network its own.

    Parameters, what the optimizer remembers, counters, random state, schedule, history (but for the
    seconds), open epoch, options, and unless told otherwise the names of columns and classes.
    """
    if isinstance(owner, fb.preprocess.Affine):
        return repr(text(owner))
    if isinstance(owner, fb.Trainer):
        architecture, tensors, training = owner._packed()
        training = json.loads(json.dumps(training))
        training["state"]["open_epoch"].pop("seconds")
    else:
        architecture, tensors, training = owner._architecture(), owner._tensors(), {}
    if not names:
        architecture = {k: v for k, v in architecture.items() if k not in ("columns", "classes")}
    digest = hashlib.sha256(json.dumps([architecture, training], default=repr).encode())
    for name, tensor in sorted(tensors.items()):
        if name.removeprefix("history.") not in CLOCK:
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + tensor.tobytes())
    return digest.hexdigest()


def text(value: Any) -> Any:
    """A value as nested tuples of types and texts that are equal if it is, to the last bit."""
    if isinstance(value, np.ndarray):
        plain = value.tolist() if value.dtype.kind == "O" else value.tobytes()
        return str(value.dtype), value.shape, plain
    if isinstance(value, float | np.floating):
        return type(value).__name__, float(value).hex()
    if isinstance(value, fb.Network | fb.Trainer):
        return state(value)
    if isinstance(value, fb.History):
        return [(k, text(v)) for k, v in value.items() if k not in CLOCK], value.stopped
    if isinstance(value, dict):
        return [(text(k), text(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [text(v) for v in value]
    if value is None or isinstance(value, str | bytes | int | np.generic | np.dtype | type):
        return type(value).__name__, repr(value)
    if hasattr(value, "to_numpy"):
        return text(np.asarray(value.to_numpy()))
    if type(value).__module__.startswith("fastbp") and hasattr(value, "__dict__"):
        skipped = ("_model", "columns", "_history")
        return type(value).__name__, [
            (k, text(v)) for k, v in vars(value).items() if k not in skipped
        ]
    return type(value).__name__, getattr(value, "__qualname__", "")
