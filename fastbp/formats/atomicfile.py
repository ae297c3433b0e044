"""Files that are written whole or not at all: the old content or the new one, never a mixture.

Guards against a killed process, a full disk and a failing one: temporary file in the same folder,
fsync, rename, fsync of the folder. A call that a signal interrupts is made again.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from .. import _check

__all__ = ["FilePath", "require_writable", "same_file", "write"]

FilePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
MOST_LINKS = 40  # as Linux follows

P = ParamSpec("P")
T = TypeVar("T")


def write(path: FilePath, content: bytes) -> None:
    """Put `content` at `path` so that it holds the old file or the new one, whole.

    A symbolic link is followed to its target. The permissions of an existing file are kept, and
    its owner where the system allows it; its extended attributes and other hard links are not.
    A process that is killed meanwhile may leave ``.fastbp-<16 digits>.tmp`` in the folder.

    Raises
    ------
    OSError
        The folder does not exist, is not writable or is full, the file is write-protected, or the
        path leads to something else than a regular file. The old file is untouched, unless the
        error is that of the last step: then the new file is there, but may not outlive a power cut.
    """
    target = _target(path)
    old = _require_replaceable(target)
    temporary = _beside(target)
    try:
        # Nobody but the owner may look into it before it has the permissions of the old file.
        mode = 0o666 if old is None else 0o600
        file = open(  # noqa: SIM115, as closing it may be interrupted
            temporary, "xb", 0, opener=lambda name, flags: os.open(name, flags, mode)
        )
        try:
            unwritten = memoryview(content)
            while unwritten:
                unwritten = unwritten[file.write(unwritten) :]
            if old is not None:
                _inherit(file.fileno(), old)
            os.fsync(file.fileno())
        finally:
            with suppress(InterruptedError):  # it is closed all the same
                file.close()
        _again(os.replace, temporary, target)
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
    try:
        with suppress(InterruptedError), open(temporary, "xb", 0):
            pass
        _again(os.unlink, temporary)
    except BaseException:
        try:
            os.unlink(temporary)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        raise


def same_file(one: FilePath, other: FilePath) -> bool:
    """Return whether two paths lead to one file, by links of either kind or another spelling.

    Raises
    ------
    OSError
        The system does not say; that there is no file at one of them is no error.
    """
    try:
        return os.path.samestat(_again(os.stat, one), _again(os.stat, other))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _again(call: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Return what `call` returns, and make it again as often as a signal interrupts it.

    Python does so for calls that wait, not for those that file systems in a network make wait.
    """
    while True:
        try:
            return call(*arguments, **options)
        except InterruptedError:
            continue


def _target(path: FilePath) -> Path:
    """Return where the path leads, whether there is a file or not.

    Unlike `os.path.realpath`, which takes a link that it cannot read for a file.
    """
    target = _again(Path(_check.path(path)).absolute)
    for _ in range(MOST_LINKS):
        try:
            if not stat.S_ISLNK(_again(os.lstat, target).st_mode):
                return target
        except FileNotFoundError:
            return target
        target = target.parent / _again(os.readlink, target)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(target))


def _beside(target: Path) -> Path:
    """Return the name of a new file in the same folder, short enough for any file system."""
    return target.with_name(f".fastbp-{secrets.token_hex(8)}.tmp")


def _require_replaceable(target: Path) -> os.stat_result | None:
    """Return what the system knows of a regular, writable file; None if there is no file."""
    try:
        old = _again(os.stat, target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(target))
    # The mode is asked too, as the superuser may write to anything.
    if not old.st_mode & 0o222:
        raise PermissionError(errno.EACCES, "the file is write-protected", str(target))
    if not os.access(target, os.W_OK):
        os.close(os.open(target, os.O_WRONLY))  # which says why
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
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system whose folders need no fsync
            raise
    finally:
        with suppress(InterruptedError):
            os.close(descriptor)
