"""Run scikit-learn's own tests of its multi-layer perceptrons against fastbp's.

    PYTHONPATH=. python tests/sklearn_own_tests.py [options of pytest]

The two names in `sklearn.neural_network` are replaced, then the installed test_mlp.py is run. Tests
that are in `DIFFERENT` are expected to fail, for a reason that docs/sklearn.md explains; the exit
code is 1 if another one fails, or if one of these passes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import sklearn.neural_network
from sklearn.neural_network import _multilayer_perceptron as theirs

from fastbp.sklearn import MLPClassifier, MLPRegressor

PRIVATE = "asks a private attribute of scikit-learn's own class"
PARTIAL = "partial_fit with early_stopping=True is no error here"
DIFFERENT = {
    "test_gradient": PRIVATE,
    "test_learning_rate_warmstart": PRIVATE,
    "test_adaptive_learning_rate": PRIVATE,
    "test_mlp_partial_fit_after_fit[MLPClassifier]": PARTIAL,
    "test_mlp_partial_fit_after_fit[MLPRegressor]": PARTIAL,
}


class Adapter:
    """A plugin of pytest: replaces the names, and knows which tests are to fail."""

    def pytest_configure(self):
        for kind in (MLPClassifier, MLPRegressor):
            setattr(sklearn.neural_network, kind.__name__, kind)

    def pytest_collection_modifyitems(self, items):
        for item in items:
            reason = DIFFERENT.get(item.name)
            if reason is not None:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def main(arguments=()):
    """Run the tests; return the exit code of pytest."""
    tests = Path(theirs.__file__).parent / "tests/test_mlp.py"
    options = ["-c", "/dev/null", "-p", "no:cacheprovider", "-q", "-rxX", *arguments]
    return pytest.main([str(tests), *options], plugins=[Adapter()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
