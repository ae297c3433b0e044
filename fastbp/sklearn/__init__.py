"""scikit-learn's multi-layer perceptrons, trained by fastbp: change the import line, keep the rest.

>>> from fastbp.sklearn import MLPClassifier
>>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "yes", "yes", "no"]
>>> model = MLPClassifier((8,), "tanh", solver="lbfgs", random_state=1).fit(X, y)
>>> model.predict([[0, 1], [1, 1]]).tolist()
['yes', 'no']

`MLPClassifier` and `MLPRegressor` have the parameters, defaults, fitted attributes and warnings of
``sklearn.neural_network``, and more: docs/sklearn.md lists what is new and what differs. They need
scikit-learn 1.4 or later: ``pip install "fastbp[sklearn]"``.
"""

from ..errors import MissingDependencyError

try:
    import sklearn  # type: ignore[import-untyped]  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise MissingDependencyError(
        'fastbp.sklearn needs scikit-learn, which is not installed: pip install "fastbp[sklearn]"'
    ) from error

from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
