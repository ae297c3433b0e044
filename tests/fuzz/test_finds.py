"""Planted faults, one of each kind, are found."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp.engine import runtime
from fuzz import __main__, bits, truth, updates, ways
from fuzz.attack import attack
from fuzz.cases import case_of
from fuzz.forms import DENSE, formed
from fuzz.ways import Way

SEED = 5
PLAIN = Way(1, runtime.isas()[0])


@pytest.fixture
def nudged_on_a_team(monkeypatch):
    """Whenever three threads have trained, the first weight is the next number."""
    fit = bits.CALLS["fit"]

    def wrong(case, trainer, way):
        outcome = fit(case, trainer, way)
        if trainer._n_threads == 3:
            weight = trainer.network.weighted_layers[0].weight
            weight.flat[0] = np.nextafter(weight.flat[0], np.inf, dtype=weight.dtype)
        return outcome

    monkeypatch.setattr(bits, "CALLS", dict.fromkeys(bits.CALLS, wrong))


def test_one_bit_of_one_weight(nudged_on_a_team):
    found = attack(case_of(SEED), [1, 2, 3])
    assert found.differences
    assert all("3 threads" in text and "weight 0: 1 of" in text for text in found.differences)


def test_a_number_that_sparse_rows_lose(monkeypatch):
    def wrong(x, form):
        x = x.copy()
        x.flat[0] = 0 if form != DENSE else x.flat[0]
        return formed(x, form)

    monkeypatch.setattr(ways, "formed", wrong)
    case = case_of(SEED)
    assert case.rows.x.flat[0]
    found = attack(case)
    assert found.differences
    assert all("CSR" in text or "CSC" in text or "COO" in text for text in found.differences)


def test_the_command_says_how_to_have_it_again(nudged_on_a_team, capsys):
    assert __main__.main(["--case", str(SEED), "--threads", "1,3"]) == 1
    printed = capsys.readouterr().out
    assert f"python -m fuzz --case {SEED} --threads 1,3" in printed
    assert "1 networks" in printed


def test_the_command_takes_an_error_for_a_difference(monkeypatch, capsys):
    monkeypatch.setattr(bits, "run", lambda *_: 1 / 0)
    assert __main__.main(["--seed", "3", "--seconds", "1e-9"]) == 0
    assert __main__.main(["--case", "3"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_a_network_of_another_seed():
    outcomes = [bits.run(case_of(seed), PLAIN)[1] for seed in (SEED, SEED + 1)]
    assert bits.unlike(PLAIN, *outcomes)
    assert not bits.unlike(PLAIN, outcomes[0], outcomes[0])


def test_a_divergence_on_one_side():
    assert bits.unlike(PLAIN, {}, {"divergence": np.array([3, 0])})


@pytest.mark.parametrize("factor", [1.05, 0.95])
def test_gradients_that_are_off_by_a_twentieth(monkeypatch, factor):
    gradients = fb.Network.gradients

    def wrong(self, *arguments, **options):
        loss, pairs, *rest = gradients(self, *arguments, **options)
        return loss, [(factor * dw, db) for dw, db in pairs], *rest

    monkeypatch.setattr(fb.Network, "gradients", wrong)
    cases = [case_of(seed) for seed in range(20)]
    found = [bool(truth.differences(case, case.network())) for case in cases]
    assert sum(found) > 17  # where a bound is so wide or a gradient zero, nothing shows


def test_a_step_that_is_too_long(monkeypatch):
    """The rate is off by a ten-thousandth."""
    step = fb.Trainer.step

    def wrong(self, *rows):
        before = [layer.weight.copy() for layer in self.network.weighted_layers]
        loss = step(self, *rows)
        for layer, weight in zip(self.network.weighted_layers, before, strict=True):
            layer.weight[...] += 1e-4 * (layer.weight - weight)
        return loss

    monkeypatch.setattr(fb.Trainer, "step", wrong)
    cases = [case_of(seed) for seed in range(40)]
    found = [bool(updates.differences(case, 2)) for case in cases if case.dtype == "float64"]
    assert sum(found) > 0.6 * len(found)


def test_bounds_are_not_vacuous():
    found = []
    for case in map(case_of, range(60)):
        with np.errstate(all="ignore"):
            found += truth.measure(case, case.network(), case.batches[0])
    assert np.mean([bounded.says_something for bounded in found]) > 0.85
    assert max(bounded.share for bounded in found) > 0.05
