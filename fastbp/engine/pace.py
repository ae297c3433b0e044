"""Whether a team of threads pays now: a busy neighbour makes it wait at barriers and at its end."""

from __future__ import annotations

import time
from collections.abc import Callable

# Shorter regions say nothing: waking the team alone takes some microseconds.
LEAST_SECONDS = 2e-4
# A team that waits for this part of the time is in doubt; quiet ones do for 1%.
DOUBT = 0.15
# So long one thread then works alone before the team is tried again.
ALONE_SECONDS = 0.5
# So long the team is kept, after one thread was slower still, before that is tried again.
PATIENCE_SECONDS = 1.0


class Neighbourhood:
    """What the runs of this process found out about their neighbours: times of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.alone_until = self.patient_until = clock()


HERE = Neighbourhood()


class Pace:
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
        """Take note of a region of `steps` steps, its threads asleep for so many seconds in all."""
        if steps == 0 or seconds < LEAST_SECONDS:
            return
        around, now = self._around, self._around.clock()
        if threads > 1:
            self._team = seconds / steps
            if asleep > DOUBT * seconds and now >= around.patient_until:
                around.alone_until = now + ALONE_SECONDS
        elif 0 < self._team <= seconds / steps:
            around.alone_until, around.patient_until = now, now + PATIENCE_SECONDS
