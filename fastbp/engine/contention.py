"""Detects contention: a busy neighbour makes a team of threads wait at barriers and at its end.

And avoids it among the fits of this process: together they use no more threads than cores.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident

# Shorter regions are ignored: waking the team alone takes some microseconds.
LEAST_SECONDS = 2e-4
# A team that waits for more than this part of its time is contended; on a quiet machine it is 1%.
DOUBT = 0.15
# How long one thread then works alone before the team is tried again.
ALONE_SECONDS = 0.5
# How long the team is used, after one thread was slower still, before one is tried again.
PATIENCE_SECONDS = 1.0


class Neighbourhood:
    """Findings about contention that the runs of this process share, as times of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.alone_until = self.patient_until = clock()


HERE = Neighbourhood()


class Fits:
    """The Python threads of this process that train, and how many threads each may use.

    A dict with an entry for each of them, which only that thread writes: a lock might be held by
    another thread when the process forks.
    """

    def __init__(self) -> None:
        self._cores_and_most: dict[int, tuple[int, int | None]] = {}

    @contextmanager
    def entered(self, cores: int, most: int | None = None) -> Iterator[None]:
        """Count the calling thread; a fit within a fit is not counted.

        Parameters
        ----------
        cores
            What all fits together may use.
        most
            What a call of this thread may ask for, if that is limited.
        """
        ident = get_ident()
        if ident in self._cores_and_most:
            yield
            return
        try:
            self._cores_and_most[ident] = cores, most
            yield
        finally:
            self._cores_and_most.pop(ident, None)

    def bounded(self, n_threads: int) -> int:
        """Return the threads of a call of the calling thread that asks for so many."""
        if not self._cores_and_most:
            return n_threads
        _, most = self._cores_and_most.get(get_ident(), (0, None))
        return n_threads if most is None else min(n_threads, most)

    def share(self, team: int) -> int:
        """Return how many of a team may run now: an equal share of the cores if others train."""
        fits = self._cores_and_most.copy().values()  # others begin and end meanwhile
        if len(fits) < 2:
            return team
        return max(1, min(team, max(cores for cores, _ in fits) // len(fits)))

    def forget_others(self) -> None:
        """Leave the calling thread alone, as a fork does."""
        own = self._cores_and_most.get(get_ident())
        self._cores_and_most = {} if own is None else {get_ident(): own}


FITS = Fits()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=FITS.forget_others)


class ContentionMonitor:
    """Chooses between a run's share of the cores and one thread.

    The choice cannot show in the results: they do not depend on the number of threads.
    """

    def __init__(self, neighbourhood: Neighbourhood = HERE, fits: Fits = FITS) -> None:
        self._around, self._fits = neighbourhood, fits
        self._team = 0.0  # seconds per step when the team last ran

    def choose(self, team: int) -> int:
        """Return the threads for the next region: of `team` those that may run, or 1."""
        return 1 if self._around.clock() < self._around.alone_until else self._fits.share(team)

    def record(self, threads: int, steps: int, seconds: float, asleep: float) -> None:
        """Record a region of `steps` steps whose threads slept for `asleep` seconds in all."""
        if steps == 0 or seconds < LEAST_SECONDS:
            return
        around, now = self._around, self._around.clock()
        if threads > 1:
            self._team = seconds / steps
            if asleep > DOUBT * seconds and now >= around.patient_until:
                around.alone_until = now + ALONE_SECONDS
        elif 0 < self._team <= seconds / steps:
            around.alone_until, around.patient_until = now, now + PATIENCE_SECONDS
