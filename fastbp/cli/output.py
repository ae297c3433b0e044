"""The file that a command writes: looked at before the work begins."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfigError
from ..formats import atomicfile

__all__ = ["require_output"]


def require_output(out: str | Path, *inputs: str) -> None:
    """Refuse an ``--out`` that cannot be written, or that would take the place of an input.

    Raises
    ------
    ConfigError
        The folder does not exist, there is something else than a file, or it is an input.
    OSError
        The file cannot be written.
    """
    out = Path(out)
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise ConfigError(f"--out: got {out}, wanted a file in a folder that exists")
    for path in inputs:
        if os.path.exists(path) and out.exists() and os.path.samefile(path, out):
            raise ConfigError(f"--out: got {out}, which is read too, wanted another file")
    atomicfile.require_writable(out)
