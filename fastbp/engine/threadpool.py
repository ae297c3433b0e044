"""Limits of threadpoolctl: on the engine's team, where it is not OpenMP's, and on BLAS."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any


def register(
    library: str, team: str, allowed: Callable[[], int], allow: Callable[[int], None]
) -> None:
    """Make limits of threadpoolctl hold for the team, if its version takes libraries (3.2).

    Parameters
    ----------
    library
        The file that has the team; threadpoolctl finds it among the loaded ones.
    team
        The kind of the team.
    allowed, allow
        Return and set the limit of the calling thread.
    """
    import threadpoolctl  # type: ignore[import-untyped]

    if not hasattr(threadpoolctl, "register"):
        return

    class Team(threadpoolctl.LibController):  # type: ignore[misc]
        """The team of fastbp, among the libraries of OpenMP: its limits are of the same kind."""

        user_api = "openmp"
        internal_api = "fastbp"
        filename_prefixes = (Path(library).name.lower(),)

        def get_num_threads(self) -> int:
            """Return the limit of the calling thread."""
            return allowed()

        def set_num_threads(self, num_threads: int) -> None:
            """Set the limit of the calling thread."""
            allow(num_threads)

        def get_version(self) -> None:
            """Return None: the engine has no version of its own."""

        def set_additional_attributes(self) -> None:
            """Name the kind of the threads."""
            self.threading_layer = team

    threadpoolctl.register(Team)


class OneBlasThread:
    """Keeps BLAS to one thread while any call is within; calls of several threads may overlap.

    The number is of the whole process: the first of them lowers it, and the last puts it back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._n_within = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        """Lower the number of threads."""
        from threadpoolctl import threadpool_limits

        with self._lock:
            if not self._n_within:
                self._limits = threadpool_limits(1, "blas")
            self._n_within += 1

    def __exit__(self, *error: object) -> None:
        """Put it back, if nobody else is within."""
        with self._lock:
            self._n_within -= 1
            if not self._n_within:
                self._limits.restore_original_limits()

    def forget_others(self) -> None:
        """Begin anew in a child of a fork, where no other thread is within."""
        self.__init__()  # type: ignore[misc]


_ONE = OneBlasThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ONE.forget_others)


def one_blas_thread() -> OneBlasThread:
    """Return what keeps BLAS to one thread.

    Raises
    ------
    ModuleNotFoundError
        threadpoolctl is not installed.
    """
    import threadpoolctl  # noqa: F401

    return _ONE
