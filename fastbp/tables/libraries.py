"""The optional libraries that read tables, imported when the first table comes."""

from __future__ import annotations

from typing import Any

from ..errors import MissingDependencyError

__all__ = ["pandas", "pyarrow", "require_openpyxl", "svmlight_reader", "text_dtype"]


def pandas() -> Any:
    """Return pandas, with its text in memory of pyarrow."""
    try:
        import pandas as found  # type: ignore[import-untyped]
    except ImportError as error:
        raise _missing("tables need", "pandas", error) from error
    pyarrow()
    return found


def pyarrow() -> Any:
    """Return pyarrow with its readers of CSV and its functions of columns."""
    try:
        import pyarrow as found  # type: ignore[import-untyped]
        import pyarrow.compute  # type: ignore[import-untyped]
        import pyarrow.csv  # type: ignore[import-untyped]
    except ImportError as error:
        raise _missing("tables need", "pyarrow", error) from error
    return found


def require_openpyxl(path: str) -> None:
    """Refuse a workbook without the library that pandas reads it by."""
    try:
        import openpyxl  # type: ignore[import-untyped] # noqa: F401
    except ImportError as error:
        raise _missing(f"{path}: workbooks need", "openpyxl", error) from error


def svmlight_reader(path: str) -> Any:
    """Return scikit-learn's reader of svmlight files."""
    try:
        from sklearn.datasets import load_svmlight_file  # type: ignore[import-untyped]
    except ImportError as error:
        raise _missing(f"{path}: svmlight files need", "scikit-learn", error) from error
    return load_svmlight_file


def text_dtype() -> Any:
    """Return the dtype that pandas 3 gives to text: strings in pyarrow's memory, NaN for none."""
    return pandas().StringDtype("pyarrow", na_value=float("nan"))


def _missing(what: str, library: str, error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(
        f'{what} {library}, which is not installed: pip install "fastbp[table]" ({error})'
    )
