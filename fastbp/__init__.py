"""fastbp trains multi-layer perceptrons on the CPU with backpropagation in compiled code.

>>> import fastbp as fb
>>> net = fb.Network(2, [fb.Dense(8, "tanh"), fb.Dense(1, "sigmoid")], seed=0)
>>> trainer = fb.Trainer(net, "binary_cross_entropy", fb.SGD(0.5, momentum=0.9), seed=0)
>>> history = trainer.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=500)
"""

try:
    from ._runtime import get_num_threads, set_num_threads
except ModuleNotFoundError as error:
    # What the module itself fails to import is its own best message.
    if error.name != f"{__name__}._runtime":
        raise
    raise ImportError(
        "the compiled modules of fastbp are not built; run `python -m pip install -e .` in the "
        "folder that holds pyproject.toml, or leave the source tree to import an installed fastbp"
    ) from error

from . import errors, initializers, losses
from ._config import show_config
from .gradcheck import check_loss, gradient_check
from .history import History
from .io import load
from .layers import Dense
from .network import Network
from .optimizers import SGD
from .trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Dense",
    "History",
    "Network",
    "Trainer",
    "__version__",
    "check_loss",
    "errors",
    "get_num_threads",
    "gradient_check",
    "initializers",
    "load",
    "losses",
    "set_num_threads",
    "show_config",
]
