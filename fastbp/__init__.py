"""fastbp trains multi-layer perceptrons on the CPU with backpropagation in compiled code.

>>> import fastbp as fb
>>> net = fb.Network(2, [fb.Dense(8, "tanh"), fb.Dense(1, "sigmoid")], seed=0)
>>> trainer = fb.Trainer(net, "binary_cross_entropy", fb.SGD(0.5, momentum=0.9), seed=0)
>>> history = trainer.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=500)
"""

try:
    from .engine.runtime import get_num_threads, set_num_threads
except ModuleNotFoundError as error:
    # What the module itself fails to import is its own best message.
    if error.name != f"{__name__}.engine.runtime":
        raise
    raise ImportError(
        "the compiled modules of fastbp are not built; run `python -m pip install -e .` in the "
        "folder that holds pyproject.toml, or leave the source tree to import an installed fastbp"
    ) from error

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING

from . import (
    activations,
    datasets,
    errors,
    formats,
    initializers,
    losses,
    metrics,
    models,
    preprocess,
)
from .callbacks import (
    Average,
    Checkpoint,
    EarlyStopping,
    GradientNorm,
    NoImprovement,
    TargetLoss,
    TimeLimit,
)
from .embedding import get_include
from .engine.config import __version__, show_config
from .gates import Gated, Maxout, Residual
from .gradcheck import check_loss, gradient_check
from .history import History
from .interchange import from_onnx, from_sklearn, from_torch
from .layers import Dense
from .many import train_many
from .network import Network, load
from .optimizers import LBFGS, SGD, Adagrad, Adam, AdamW, RMSprop
from .preprocess import labels, one_hot
from .schedules import (
    Cosine,
    Exponential,
    InverseTime,
    LogCosine,
    Polynomial,
    ReduceOnPlateau,
    Step,
    Warmup,
)
from .trainer import Trainer

if TYPE_CHECKING:
    from . import tables

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Average",
    "Checkpoint",
    "Cosine",
    "Dense",
    "EarlyStopping",
    "Exponential",
    "Gated",
    "GradientNorm",
    "History",
    "InverseTime",
    "LogCosine",
    "Maxout",
    "Network",
    "NoImprovement",
    "Polynomial",
    "RMSprop",
    "ReduceOnPlateau",
    "Residual",
    "Step",
    "TargetLoss",
    "TimeLimit",
    "Trainer",
    "Warmup",
    "__version__",
    "activations",
    "check_loss",
    "datasets",
    "errors",
    "formats",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "get_include",
    "get_num_threads",
    "gradient_check",
    "initializers",
    "labels",
    "load",
    "losses",
    "metrics",
    "models",
    "one_hot",
    "preprocess",
    "set_num_threads",
    "show_config",
    "tables",
    "train_many",
]


def __getattr__(name: str) -> _ModuleType:
    """Import what few need when it is asked for first."""
    if name == "tables":
        return _import_module(f"{__name__}.tables")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names, also of what is not imported yet."""
    return sorted({*globals(), *__all__})
