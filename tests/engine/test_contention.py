"""The choice between a team of threads and one, from times that are made up."""

from __future__ import annotations

import threading

import pytest

from fastbp.engine.contention import (
    ALONE_SECONDS,
    LEAST_SECONDS,
    PATIENCE_SECONDS,
    ContentionMonitor,
    Fits,
    Neighbourhood,
)


class Machine:
    """Regions of 100 steps, on a team of 4 or on one thread, with a clock of its own."""

    def __init__(self):
        self.now = 100.0
        self.neighbourhood = Neighbourhood(lambda: self.now)

    def run(self, monitor, team_seconds, asleep, alone_seconds, regions):
        """Run so many regions and return the threads chosen for each."""
        chosen = []
        for _ in range(regions):
            chosen.append(monitor.choose(4))
            team = chosen[-1] == 4
            seconds = team_seconds if team else alone_seconds
            self.now += seconds
            monitor.record(chosen[-1], 100, seconds, asleep * seconds if team else 0.0)
        return chosen


@pytest.fixture
def machine():
    return Machine()


def test_a_quiet_machine_runs_nothing_but_the_team(machine):
    assert machine.run(ContentionMonitor(machine.neighbourhood), 0.050, 0.03, 0.150, 50) == [4] * 50


def test_a_team_that_waits_longer_than_one_thread_works_is_left_and_tried_again(machine):
    monitor = ContentionMonitor(machine.neighbourhood)
    alone = round(ALONE_SECONDS / 0.125)  # exact in binary, as all the times here
    busy = machine.run(monitor, 0.250, 0.5, 0.125, 2 * (alone + 1))
    assert busy == ([4] + [1] * alone) * 2
    machine.now += ALONE_SECONDS
    assert machine.run(monitor, 0.050, 0.01, 0.100, 5) == [4] * 5


def test_other_runs_of_the_process_know_it_at_once(machine):
    machine.run(ContentionMonitor(machine.neighbourhood), 0.250, 0.5, 0.100, 1)
    assert ContentionMonitor(machine.neighbourhood).choose(4) == 1


def test_a_waiting_team_that_still_beats_one_thread_is_kept_but_for_a_rare_probe(machine):
    monitor = ContentionMonitor(machine.neighbourhood)
    chosen = machine.run(monitor, 0.125, 0.3, 0.250, 40)
    assert chosen[:2] == [4, 1]
    regions = round(PATIENCE_SECONDS / 0.125)
    assert chosen[2 : 3 + regions] == [4] * regions + [1]


@pytest.mark.parametrize(("steps", "seconds"), [(0, 1.0), (1, LEAST_SECONDS / 2)])
def test_a_region_that_says_nothing_is_not_recorded(machine, steps, seconds):
    monitor = ContentionMonitor(machine.neighbourhood)
    monitor.record(4, steps, seconds, seconds)
    assert monitor.choose(4) == 4


def apart(call):
    """What `call` returns in a thread of its own."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def test_fits_of_several_threads_share_the_cores():
    fits = Fits()
    shares = []

    def second():
        with fits.entered(8):
            shares.append(fits.share(8))
            with fits.entered(8):  # a fit within a fit
                shares.append(fits.share(8))
            return apart(third)

    def third():
        with fits.entered(8):
            return fits.share(8), fits.share(2), fits.share(1)

    with fits.entered(8):
        assert fits.share(8) == 8
        assert apart(second) == (2, 2, 1)
        assert shares == [4, 4]
        assert fits.share(8) == 8
        assert ContentionMonitor(Neighbourhood(), fits).choose(6) == 6
    with fits.entered(2):
        assert apart(second) == (2, 2, 1)  # eight cores are known then
    assert fits.share(8) == 8


def test_others_end_while_a_share_is_asked_for():
    class Ending(dict):
        """The entries of fits all of which end as soon as they are counted."""

        def __len__(self):
            count = super().__len__()
            self.clear()
            return count

    fits = Fits()
    fits._cores_and_most = Ending({1: (8, None), 2: (8, None)})
    assert fits.share(8) in (4, 8)


def test_a_share_is_a_thread_at_least():
    fits = Fits()
    with fits.entered(1):
        assert apart(lambda: entered_and_shared(fits)) == 1


def entered_and_shared(fits):
    with fits.entered(1):
        return ContentionMonitor(Neighbourhood(), fits).choose(4)


def test_a_thread_may_be_bounded():
    fits = Fits()
    with fits.entered(8, 2):
        assert (fits.bounded(8), fits.bounded(1)) == (2, 1)
        assert apart(lambda: fits.bounded(8)) == 8
    assert fits.bounded(8) == 8


def test_a_child_of_a_fork_has_the_calling_thread_alone():
    fits = Fits()

    def within():
        with fits.entered(8, 4):
            fits.forget_others()
            return fits.share(8), fits.bounded(8)

    with fits.entered(8):
        assert apart(within) == (8, 4)
