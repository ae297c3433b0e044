"""Describes this build of fastbp: versions, kernel sets, threads."""

from __future__ import annotations

import platform

import numpy as np

from . import runtime as _runtime

__all__ = ["show_config"]


def show_config() -> None:
    """Print the versions, the kernel set (ISA) in use, and how fastbp runs in parallel."""
    from .. import __version__

    openmp = "yes" if _runtime.has_openmp() else "no, so one thread"
    rows = {
        "fastbp": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "compiler": _runtime.COMPILER,
        "ISA": f"{_runtime.isa()} (this machine runs {', '.join(_runtime.isas())})",
        "OpenMP": openmp,
        "threads": str(_runtime.get_num_threads()),
    }
    for name, value in rows.items():
        print(f"{name:<10}{value}")
