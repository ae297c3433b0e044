"""What a person writes in ten lines: pandas reads, scikit-learn transforms and fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

NUMBERS = make_column_selector(dtype_include=["number", "bool"])
TEXTS = make_column_selector(dtype_exclude=["number", "bool"])


def read(path: Path) -> pandas.DataFrame:
    """Return the file as pandas reads it, with the separator and quotes that a person sees in it.

    Row names and numbers, an unnamed first column, are left out.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        first = lines.readline()
    frame = pandas.read_csv(
        path,
        sep=next((mark for mark in ",;\t" if mark in first), " "),
        quotechar="'" if first.startswith("'") else '"',
        skipinitialspace=True,
        low_memory=False,
    )
    unnamed = str(frame.columns[0]).startswith("Unnamed")
    return frame.iloc[:, 1:] if unnamed else frame


def linear(task: str) -> Any:
    """Return logistic or ridge regression on scaled numbers and one-hot text."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50)
    columns = make_column_transformer((numbers, NUMBERS), (texts, TEXTS))
    if task == "classification":
        return make_pipeline(columns, LogisticRegression(max_iter=2000))
    return make_pipeline(columns, RidgeCV(np.logspace(-2, 3, 11)))


def boosting(task: str) -> Any:
    """Return gradient boosting with the default options; text becomes categories."""
    texts = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        max_categories=200,
        encoded_missing_value=-1,
    )
    columns = make_column_transformer((texts, TEXTS), remainder="passthrough")
    if task == "classification":
        return make_pipeline(columns, HistGradientBoostingClassifier(random_state=0))
    return make_pipeline(columns, HistGradientBoostingRegressor(random_state=0))


PEERS: dict[str, Callable[[str], Any]] = {"linear": linear, "boosting": boosting}
