"""The door for C, C++ and Cython programs: opens networks and trainers as handles of theirs.

Their functions are those of ``fastbp.h``, in the folder that `get_include` names, and in Cython of
``from fastbp cimport ...``; see docs/embedding.md.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine import doors
from ..engine.doors import Opened
from ..errors import ConfigError, DTypeError, FastbpError, ShapeError, brief
from ..losses import CustomLoss
from ..network import Names, Network, load
from ..optimizers import LBFGS, Optimizer
from ..schedules import Schedule
from ..trainer import Trainer

__all__ = ["get_include"]

_C_API = doors.CAPSULE  # what fastbp_import of the header looks for

# Learning rates of a schedule or function that are computed ahead when a trainer is opened.
RATES_AHEAD = 4096


def get_include() -> str:
    """Return the folder of ``fastbp.h``, the header of the C functions.

    Examples
    --------
    In the ``setup.py`` of a package that uses them:

    >>> import fastbp as fb
    >>> from setuptools import Extension
    >>> module = Extension("control", ["control.c"], include_dirs=[fb.get_include()])
    """
    return str(Path(__file__).parents[1] / "include")


def _network(network: Any, dtype: str, x_dtype: str, max_rows: int) -> Opened:
    """Return what a handle of a network points to."""
    if not isinstance(network, Network):
        raise TypeError(f"network: got {brief(network)}, wanted a Network")
    return _opened(network, network, dtype, x_dtype, max_rows, least=0)


def _network_file(path: bytes, dtype: str, x_dtype: str, max_rows: int) -> Opened:
    return _network(load(os.fsdecode(path)), dtype, x_dtype, max_rows)


def _trainer(trainer: Any, dtype: str, x_dtype: str, max_rows: int) -> Opened:
    """Return what a handle of a trainer points to, which goes on where that has stopped.

    Raises
    ------
    ConfigError
        A step would need Python.
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer: got {brief(trainer)}, wanted a Trainer")
    network, loss, state = trainer.network, trainer._loss, trainer._state
    if isinstance(loss, CustomLoss):
        raise ConfigError(
            f"loss: got the function {loss.shown}, wanted one of fastbp.losses; or compute dL/dy "
            "and call fastbp_step_from of a trainer with any of these"
        )
    if isinstance(state.optimizer, LBFGS):
        raise ConfigError("optimizer: got LBFGS, wanted another one: it makes no single steps")
    if trainer.class_weight is not None:
        raise ConfigError(
            "class_weight: got one, wanted None, and the weights of the rows in each call"
        )
    if trainer.accumulate != 1:
        raise ConfigError(
            f"accumulate: got {trainer.accumulate}, wanted 1: each call of a handle is a step"
        )
    if state.averagings:
        raise ConfigError(
            "callbacks: got a trainer within a fit with Average, wanted one that has ended"
        )
    with network._claim():
        opened = _opened(trainer, network, dtype, x_dtype, max_rows, least=1)
        state.watch()
        rates, constant = _rates(state.optimizer, state.steps.n, state.history.epochs)
        run, good = trainer._runs.of_door(max_rows)
        good.begin(False)
        limits = trainer.clip_norm is not None or trainer.max_norm is not None
        opened.trains(
            run, good, state.open_epoch, rates, constant, loss.name, loss.parameter,
            loss.targets, _takes_labels(network, loss), limits,
        )  # fmt: skip
    return opened


def _trainer_file(path: bytes, dtype: str, x_dtype: str, max_rows: int) -> Opened:
    return _trainer(Trainer.load(os.fsdecode(path)), dtype, x_dtype, max_rows)


def _opened(
    owner: Network | Trainer, network: Network, dtype: str, x_dtype: str, max_rows: int, least: int
) -> Opened:
    if network.dtype != dtype:
        raise DTypeError(f"dtype: got {dtype}, wanted {network.dtype}, that of the network")
    if not least <= max_rows < 2**31:
        raise ShapeError(f"max_rows: got {max_rows}, wanted at least {least}, below 2**31")
    affine = network.preprocessing
    mean, scale = (None, None) if affine is None else (affine._diagonal() or (None, None))
    if affine is not None and mean is None:
        raise ConfigError(
            f"preprocessing: got {affine!r}, a whole matrix, wanted a map of each column by "
            "itself, or network.fold(), which has it in the first layer"
        )
    form = hashlib.sha256(repr(network._form()).encode()).digest()
    pieces = _pieces(network)
    return Opened(owner, network._model, x_dtype, mean, scale, pieces, form, max_rows)


def _pieces(network: Network) -> NDArray[np.int64]:
    """Return the place and the length of each row of the parameters in the engine's memory."""
    begin, item = network._model.arena.ctypes.data, network.dtype.itemsize
    found = []
    for array in network._arrays():
        rows = array.reshape(-1, array.shape[-1]) if array.flags.c_contiguous else array
        at = np.array(rows.ctypes.data - begin)
        for size, stride in zip(rows.shape[:-1], rows.strides[:-1], strict=True):
            at = at[..., None] + np.arange(size) * stride
        places = at.ravel() // item
        found.append(np.stack([places, np.full_like(places, array.shape[-1])], axis=1))
    return np.ascontiguousarray(np.concatenate(found), np.int64)


def _rates(optimizer: Optimizer, first: int, epochs: int) -> tuple[NDArray[np.float64], bool]:
    """Return the learning rates of the next steps, and whether the last one is that of all later.

    A function may end the run at some later step by an error: the steps until then are done.
    """
    rate = optimizer.learning_rate
    if not callable(rate) or (isinstance(rate, Schedule) and rate.per == "epoch"):
        return optimizer.learning_rates(first, 1, epochs).copy(), True
    found: list[float] = []
    for step in range(first, first + RATES_AHEAD):
        try:
            found += optimizer.learning_rates(step, 1, epochs).tolist()
        except FastbpError:
            if not found:
                raise
            break
    return np.array(found), False


def _takes_labels(network: Network, loss: Any) -> bool:
    """Return whether the engine takes targets as numbers of classes."""
    n = network.n_outputs
    try:
        y, _ = network._encoded(np.arange(n), n, loss, "y", Names(), None)
    except FastbpError:
        return False
    return y.ndim == 1


doors.use(
    network=_network, network_file=_network_file, trainer=_trainer, trainer_file=_trainer_file
)
