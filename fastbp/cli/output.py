"""The file that a command writes: looked at before the work begins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import ConfigError
from ..formats import atomicfile

__all__ = ["require_output"]


def require_output(out: str | Path, inputs: Iterable[str | Path]) -> None:
    """Refuse an ``--out`` that cannot be written, or that would take the place of an input.

    Raises
    ------
    ConfigError
        The folder does not exist, there is something else than a file, or it is an input.
    OSError
        The file cannot be written.
    """
    for path in inputs:
        if atomicfile.same_file(path, out):
            raise ConfigError(f"--out: got {out}, which is read too, wanted another file")
    try:
        atomicfile.require_writable(out)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ConfigError(f"--out: got {out}, wanted a file in a folder that exists") from error
