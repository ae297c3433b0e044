"""Detects contention: a busy neighbour makes a team of threads wait at barriers and at its end."""

from __future__ import annotations

import time
from collections.abc import Callable

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


class ContentionMonitor:
    """Chooses between the whole team and one thread, for one run.

    The choice cannot show in the results: they do not depend on the number of threads.
    """

    def __init__(self, neighbourhood: Neighbourhood = HERE) -> None:
        self._around = neighbourhood
        self._team = 0.0  # seconds per step when the team last ran

    def choose(self, team: int) -> int:
        """Return the threads for the next region, `team` or 1."""
        return 1 if self._around.clock() < self._around.alone_until else team

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
