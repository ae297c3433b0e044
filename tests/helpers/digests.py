"""What a call gives and leaves behind as a text, so that two can be compared to the last bit."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

import fastbp as fb

# Not the same twice, or no part of what training goes on from.
PASSING = ("seconds", "region", "moment", "_model", "_measured", "_recorded")
# What a schedule has been shown.
SHOWN = ("optimizer", "n_watched")


def state(trainer: fb.Trainer) -> str:
    """SHA-256 of all that training may change, and of the options of the trainer.

    Parameters, names, groups of layers, what the optimizer remembers, counters, random state,
    history (but for the seconds), what callbacks have found, the open epoch. Not the schedule,
    which is shown an epoch when the next one begins.
    """
    return hashlib.sha256(repr(_owner(trainer, without=SHOWN)).encode()).hexdigest()


def names(owner: Any) -> Any:
    """Of a trainer or a network: what columns and classes are called."""
    network = getattr(owner, "network", owner)
    return text((getattr(network, "columns", None), getattr(network, "classes", None)))


def parts(owner: Any) -> Any:
    """The state of a trainer, a network or a map, without the names."""
    return _owner(owner, False)


def _owner(owner: Any, with_names: bool = True, without: tuple[str, ...] = ()) -> Any:
    if isinstance(owner, fb.Trainer):
        options = owner._options(), owner._loss.shown, owner.metrics
        state = owner._state
        own = [
            (k, text(v))
            for k, v in state.__getstate__().items()
            if k not in (*PASSING, *without, "network", "memory")
        ]
        kind, begins, values = state.memory.last[:3]
        memory = text((kind, begins, values.tobytes(), state.memory.missed(state.steps.n)))
        return text(options), own, memory, _owner(owner.network, with_names)
    if isinstance(owner, fb.Network):
        groups = [layer._group for layer in owner.weighted_layers]
        own = text((owner._model.arena, groups, owner.preprocessing, owner.metadata))
        return own, names(owner) if with_names else None
    return text(owner)


def text(value: Any) -> Any:
    """A value as nested tuples of types and texts that are equal if it is, to the last bit."""
    if isinstance(value, np.ndarray):
        # The bytes of a long double have gaps.
        listed = value.dtype.kind in "OT" or value.dtype == np.longdouble
        plain = value.tolist() if listed else value.tobytes()
        return value.dtype.str, value.shape, plain
    if isinstance(value, float | np.floating):
        return type(value).__name__, float(value).hex()
    if value is None or isinstance(value, str | bytes | int | np.generic | np.dtype | type):
        return type(value).__name__, repr(value)
    if isinstance(value, fb.History):
        return [(k, text(v)) for k, v in value.items() if k not in PASSING], value.stopped
    if isinstance(value, dict):
        return sorted((repr(k), text(v)) for k, v in value.items() if k not in PASSING)
    if isinstance(value, list | tuple):
        return type(value).__name__, [text(v) for v in value]
    if isinstance(value, fb.Network | fb.Trainer):
        return _owner(value)
    if isinstance(value, np.random.BitGenerator):
        return repr(value.state)
    if hasattr(value, "to_numpy") or hasattr(value, "numpy"):
        return text(np.asarray(value))
    if type(value).__module__.startswith("fastbp") and hasattr(value, "__dict__"):
        kept = {
            k: v for k, v in vars(value).items() if k not in ("columns", "_history", "_constant")
        }
        return type(value).__name__, text(kept)
    return type(value).__name__, getattr(value, "__qualname__", "")
