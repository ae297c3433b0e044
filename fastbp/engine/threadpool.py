"""Limits of threadpoolctl: on the engine's team, where it is not OpenMP's, and on BLAS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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


def limits() -> Any:
    """Return `threadpoolctl.threadpool_limits`, which bounds the threads of BLAS too."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits
