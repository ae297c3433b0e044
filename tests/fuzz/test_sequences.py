"""Random sequences of calls: nothing is lost, nothing is busy for ever."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import fastbp as fb
from fuzz.machine import Calls
from fuzz.plain import Plain

# Not shrunk: how many steps a region has depends on the clock, and with it when a callback comes.
COMMON = {
    "stateful_step_count": 15,
    "phases": [Phase.generate],
    "report_multiple_bugs": False,
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
FIXED = settings(max_examples=30, derandomize=True, **COMMON)
MANY = settings(max_examples=3000, **COMMON)


def test_a_fixed_set():
    run_state_machine_as_test(Calls, settings=FIXED)


@pytest.mark.slow
def test_many():
    run_state_machine_as_test(Calls, settings=MANY)


def test_a_lost_step_is_found(monkeypatch):
    """Of each fit that an error ends."""
    fit = fb.Trainer.fit

    def forgetful(self, *arguments, **options):
        try:
            return fit(self, *arguments, **options)
        except BaseException:
            self._state.steps.n -= 1
            raise

    monkeypatch.setattr(fb.Trainer, "fit", forgetful)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Calls, settings=FIXED)


def test_a_lock_that_is_kept_is_found(monkeypatch):
    step, held = fb.Trainer.step, []

    def greedy(self, *arguments, **options):
        try:
            return step(self, *arguments, **options)
        except fb.errors.DivergenceError:
            held.append(self.network._claim())
            held[-1].__enter__()
            raise

    monkeypatch.setattr(fb.Trainer, "step", greedy)
    with pytest.raises(fb.errors.BusyError):
        run_state_machine_as_test(Calls, settings=FIXED)


def test_a_wrong_place_to_go_back_to_is_found(monkeypatch):
    monkeypatch.setattr(Plain, "_back_to", lambda self, mark: None)
    with pytest.raises((AssertionError, fb.errors.DivergenceError)):
        run_state_machine_as_test(Calls, settings=FIXED)
