"""The files that a command writes: looked at before the work begins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ..errors import ConfigError
from ..formats import atomicfile, modelfile

__all__ = ["require_output", "require_outputs"]


def _is_picture(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(256)
    return (
        head.startswith((b"\x89PNG", b"%PDF", b"\xff\xd8\xff"))
        or b"<svg" in head
        or (head.startswith(b"<?xml"))
    )


def _is_page(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(256).lstrip().lower().startswith(b"<!doctype html")


# What an option writes, and whether a file is such: then it may be replaced.
KINDS: Mapping[str, tuple[str, Callable[[Path], bool]]] = {
    "--out": ("a model of fastbp", modelfile.is_model),
    "--checkpoint": ("a file of fastbp", modelfile.is_model),
    "--plot": ("a picture", _is_picture),
    "--report": ("a page", _is_page),
}


def require_output(
    out: str | Path, inputs: Iterable[str | Path], option: str = "--out", force: bool = True
) -> None:
    """Refuse a file that cannot be written, or that would take the place of another one.

    Parameters
    ----------
    out : path-like
    inputs : iterable of path-like
        What the command reads.
    option : str
        That names `out`.
    force : bool
        Whether a file may be replaced that is of another kind than what is written.

    Raises
    ------
    ConfigError
        The folder does not exist, there is something else than a file, it is an input, or a file
        of another kind.
    OSError
        The file cannot be written.
    """
    for path in inputs:
        if atomicfile.same_file(path, out):
            raise ConfigError(f"{option}: got {out}, which is read too, wanted another file")
    try:
        atomicfile.require_writable(out)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ConfigError(f"{option}: got {out}, wanted a file in a folder that exists") from error
    path = Path(out)
    if force or not path.exists() or not path.stat().st_size:
        return
    what, is_of_kind = KINDS[option]
    if not is_of_kind(path):
        raise ConfigError(
            f"{option}: got {out}, which exists and is not {what}, wanted another file, or --force "
            "to replace it"
        )


def require_outputs(
    outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path], force: bool
) -> None:
    """Refuse files of several options as `require_output` does, and two that are one.

    Raises
    ------
    ConfigError, OSError
        As there.
    """
    inputs, seen = list(inputs), dict[str, str]()
    for option, out in outputs.items():
        if out is None:
            continue
        require_output(out, inputs, option, force)
        place = os.path.realpath(out)
        if place in seen:
            raise ConfigError(f"{option}: got {out}, as {seen[place]}, wanted another file")
        seen[place] = option
