"""Files that are written whole or not at all: the old content or the new one, never a mixture.

Guards against a killed process, a full disk and a failing one: temporary file in the same folder,
fsync, rename, fsync of the folder.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigError

__all__ = ["FilePath", "name_of", "require_writable", "write"]

FilePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def name_of(path: FilePath) -> str:
    """Return a path as text.

    Raises
    ------
    ConfigError
        It is none: a number, say, which would be an open file of the caller.
    """
    try:
        name = os.fsdecode(path)
    except TypeError as error:
        raise ConfigError(f"path: got {path!r}, wanted the path of a file") from error
    if not name or "\0" in name:
        raise ConfigError(f"path: got {path!r}, wanted the path of a file")
    return name


def write(path: FilePath, content: bytes) -> None:
    """Put `content` at `path` so that it holds the old file or the new one, whole.

    A symbolic link is followed to its target. The permissions of an existing file are kept, and
    its owner where the system allows it; its extended attributes and other hard links are not.

    Raises
    ------
    OSError
        The folder does not exist, is not writable or is full, the file is write-protected, or the
        path leads to something else than a regular file. The old file is untouched.
    """
    target = _target(path)
    old = _require_replaceable(target)
    temporary = _beside(target)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            if old is not None:
                _inherit(file.fileno(), old)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        # Here, not in a function, at whose entry a second interrupt could come.
        try:
            os.unlink(temporary)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        raise
    _sync_folder(target.parent)


def require_writable(path: FilePath) -> None:
    """Try whether `write` could write to `path`; nothing is changed.

    Raises
    ------
    OSError
        As `write`.
    """
    target = _target(path)
    _require_replaceable(target)
    temporary = _beside(target)
    with open(temporary, "xb"):
        pass
    temporary.unlink()


def _target(path: FilePath) -> Path:
    return Path(os.path.realpath(name_of(path)))


def _beside(target: Path) -> Path:
    """Return the name of a new file in the same folder, short enough for any file system."""
    return target.with_name(f".{secrets.token_hex(8)}.tmp")


def _require_replaceable(target: Path) -> os.stat_result | None:
    """Return what the system knows of a regular, writable file; None if there is no file."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(target))
    # The mode is asked too, as the superuser may write to anything.
    if not old.st_mode & 0o222 or not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is write-protected", str(target))
    return old


def _inherit(descriptor: int, old: os.stat_result) -> None:
    """Give a new file the permissions of the old one, and its owner where that is allowed."""
    if os.name != "posix":
        return
    with suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))  # afterwards: fchown clears some bits


def _sync_folder(folder: Path) -> None:
    """Make the rename durable where a folder can be opened for that."""
    # Windows cannot open a folder; its rename is durable without.
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to, but not read
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
