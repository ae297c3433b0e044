"""Describes this build of fastbp: versions, kernel sets, threads."""

from __future__ import annotations

import platform

import numpy as np

from . import runtime

__all__ = ["__version__", "show_config"]

__version__ = "0.1.0"  # read by pyproject.toml


def show_config() -> None:
    """Print the versions, the kernel set (ISA) in use, and how fastbp runs in parallel."""
    team = runtime.TEAM if runtime.has_threads() else "none, so one thread"
    rows = {
        "fastbp": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "compiler": runtime.COMPILER,
        "ISA": f"{runtime.isa()} (this machine runs {', '.join(runtime.isas())})",
        "team": team,
        "threads": str(runtime.get_num_threads()),
    }
    for name, value in rows.items():
        print(f"{name:<10}{value}")
