"""The two that read and write safetensors: the library, and what stands in where it is missing."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(params=["library", "stand-in"])
def reader(request, monkeypatch) -> str:
    if request.param == "library":
        pytest.importorskip("safetensors")
    else:
        monkeypatch.setitem(sys.modules, "safetensors", None)  # its import fails
    return request.param
