"""Networks from other libraries: ONNX files, PyTorch's modules, scikit-learn's estimators.

`Network.to_onnx`, `to_torch` and `to_sklearn` are the ways back; docs/interchange.md says what
becomes what. The libraries are imported when they are needed.
"""

from __future__ import annotations

import os
from typing import Any

from . import _check
from .errors import ConversionError, CorruptModelError
from .formats.modelfile import Tensors
from .network import Network, network_of

__all__ = ["from_onnx", "from_sklearn", "from_torch"]


def from_onnx(path: str | os.PathLike[str]) -> Network:
    """Return the network that an ONNX file of a multi-layer perceptron is.

    What PyTorch, Keras and skl2onnx write for a chain of linear layers and activations is read,
    with scalers before it, which become the `Network.preprocessing`, and the labels of its
    classes. A LogSoftmax at the end becomes a softmax, with a warning.

    Parameters
    ----------
    path : path-like
        Large weights may be in a file beside it, as PyTorch writes them.

    Raises
    ------
    ConversionError
        The file holds something else, such as a convolution or a sum of branches; the message
        names the node and its operator.
    CorruptModelError
        It is no ONNX file, or is cut or changed.
    MissingDependencyError
        The library onnx is not installed.
    OSError
        The file does not exist or cannot be read.
    """
    path = _check.path(path)
    from .formats.onnx import reading

    return _network(path, *reading.read(path))


def from_torch(module: Any) -> Network:
    """Return the network that a PyTorch module is, with copies of its weights.

    Layers whose parameters have no ``requires_grad`` are not `trainable`. A LogSoftmax at the end
    becomes a softmax, with a warning.

    Parameters
    ----------
    module : torch.nn.Module
        An ``nn.Sequential``, nested or not, of Linear, Dropout, Flatten, Identity, activations,
        and what `Network.to_torch` makes of gates; in float32 or float64, on any device.

    Raises
    ------
    ConversionError
        A module has no counterpart, or not where it stands; the message names it.
    MissingDependencyError
        PyTorch is not installed.

    Examples
    --------
    >>> import fastbp as fb
    >>> from torch import nn
    >>> fb.from_torch(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)))
    Network(4, [Dense(8, 'tanh'), Dense(1, 'linear')], dtype='float32')
    """
    from .formats import torch

    return _network("module", *torch.of_module(module))


def from_sklearn(estimator: Any) -> Network:
    """Return the network that a fitted estimator of scikit-learn is, with copies of its weights.

    Classes and the names of features come with it. Two classes are one sigmoid output, the chance
    of the second class; support vector machines and perceptrons give their scores.

    Parameters
    ----------
    estimator : estimator
        A fitted MLPClassifier, MLPRegressor or linear model, or a Pipeline of scalers and one of
        these.

    Raises
    ------
    ConversionError
        It is not fitted, or a step has no counterpart; the message names it.
    MissingDependencyError
        scikit-learn is not installed.

    Examples
    --------
    >>> import fastbp as fb
    >>> from sklearn.linear_model import LogisticRegression
    >>> fb.from_sklearn(LogisticRegression().fit([[0.0], [1.0]], ["no", "yes"])).classes.tolist()
    ['no', 'yes']
    """
    from .formats import sklearn

    return _network("estimator", *sklearn.of_estimator(estimator))


def _network(what: object, architecture: dict[str, Any], tensors: Tensors) -> Network:
    try:
        return network_of(what, architecture, tensors)
    except CorruptModelError as error:
        raise ConversionError(str(error)) from error
