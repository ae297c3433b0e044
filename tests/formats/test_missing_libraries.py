"""Without an optional library its ways in and out are a named error that says what to install."""

from __future__ import annotations

import sys

import pytest

import fastbp as fb
from fastbp import errors, formats


@pytest.mark.parametrize("library", ["onnx", "torch", "sklearn"])
def test_what_is_missing_is_named(library, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(f"fastbp.formats.{library}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(formats, library, raising=False)
    monkeypatch.setitem(sys.modules, library, None)  # its import fails
    net = fb.Network(2, [fb.Dense(1)], seed=0)
    arguments = (tmp_path / "net.onnx",) if library == "onnx" else ()
    with pytest.raises(errors.MissingDependencyError, match=r"is not installed: pip install"):
        getattr(net, f"to_{library}")(*arguments)
    with pytest.raises(errors.MissingDependencyError, match=f"from_{library} need"):
        getattr(fb, f"from_{library}")(*arguments or (None,))
    assert not list(tmp_path.iterdir())
