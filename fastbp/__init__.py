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

from . import activations, errors, initializers, losses, models, preprocess
from .adaptive import Adagrad, Adam, AdamW, RMSprop
from .callbacks import EarlyStopping, GradientNorm, TargetLoss, TimeLimit
from .encoding import labels, one_hot
from .engine.config import show_config
from .gates import Gated, Maxout, Residual
from .gradcheck import gradient_check
from .history import History
from .io import load
from .layers import Dense
from .losscheck import check_loss
from .network import Network
from .optimizers import SGD
from .plateau import ReduceOnPlateau
from .schedules import Cosine, Exponential, InverseTime, Polynomial, Step, Warmup
from .trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Cosine",
    "Dense",
    "EarlyStopping",
    "Exponential",
    "Gated",
    "GradientNorm",
    "History",
    "InverseTime",
    "Maxout",
    "Network",
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
    "errors",
    "get_num_threads",
    "gradient_check",
    "initializers",
    "labels",
    "load",
    "losses",
    "models",
    "one_hot",
    "preprocess",
    "set_num_threads",
    "show_config",
]
