"""A fixed set of random cases, each run in all ways; and ten minutes of new ones."""

from __future__ import annotations

import pytest
from networks import SLOPED

import fastbp as fb
from fastbp.engine import runtime
from fuzz import losses
from fuzz.__main__ import main
from fuzz.attack import attack
from fuzz.cases import case_of
from fuzz.forms import FORMS
from fuzz.recipes import own_loss
from fuzz.ways import THREADS, may_be_sparse, ways_of

FIXED = range(170)


@pytest.mark.parametrize("seed", FIXED)
def test_all_ways_agree(seed):
    case = case_of(seed)
    found = attack(case)
    assert not found.differences, f"{case!r}\n" + "\n".join(found.differences)


def test_the_fixed_set_has_everything():
    cases = [case_of(seed) for seed in FIXED]
    layers = [layer for case in cases for layer in case.network().weighted_layers]
    dense = [layer for layer in layers if isinstance(layer, fb.Dense)]
    assert {type(layer) for layer in layers} == {fb.Dense, fb.Maxout, fb.Gated}
    assert {layer.activation for layer in dense} >= set(SLOPED)
    assert {own_loss, *losses.LOSSES} - {"own"} == {getattr(c.loss, "name", c.loss) for c in cases}
    kinds = (fb.SGD, fb.Adagrad, fb.RMSprop, fb.Adam, fb.AdamW)
    assert {type(case.optimizer) for case in cases} == set(kinds)
    assert {name for case in cases for name in case.options} == {
        "l1", "l2", "penalize_bias", "clip_value", "clip_norm", "max_norm"
    }  # fmt: skip
    assert {len(case.layers) for case in cases} == set(range(1, 7))
    assert min(case.batch for case in cases) == 1
    assert max(case.batch for case in cases) > 512
    assert sum(case.drops for case in cases) > 30
    assert {str(case.rows.x.dtype) for case in cases} == set(runtime.NUMBERS)


def test_the_fixed_set_has_sparse_rows_of_every_form():
    cases = [case_of(seed) for seed in FIXED]
    sparse = [case for case in cases if may_be_sparse(case)]
    ways = [way for case in sparse for way in ways_of(case, THREADS, runtime.isas())]
    assert {way.form for way in ways if way.regime == "sparse"} == set(FORMS)
    assert {way.calls for way in ways if way.regime == "sparse"} == {"fit", "fits", "steps"}
    assert any((case.rows.x == 0).all(axis=1).any() for case in sparse)
    assert {case.dtype for case in sparse} == {"float32", "float64"}
    by_row = [case for case in sparse if not case.options and case.optimizer.rule == "sgd"]
    assert by_row
    assert min(case.batch for case in sparse) <= 8 < max(case.batch for case in sparse)


def test_a_case_is_the_same_each_time():
    one, other = case_of(5), case_of(5)
    assert repr(one) == repr(other)
    assert all((a == b).all() for a, b in zip(one.rows[:2], other.rows[:2], strict=True))


@pytest.mark.slow
def test_ten_minutes():
    assert main(["--seed", "1", "--seconds", "600"]) == 0
