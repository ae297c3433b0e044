"""scikit-learn's ``n_jobs``: the threads of joblib's workers times ours are at most the cores."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import fastbp as fb
from fastbp.engine.contention import ContentionMonitor

joblib = pytest.importorskip("joblib")
pytest.importorskip("sklearn")

from sklearn.experimental import enable_halving_search_cv  # noqa: E402, F401
from sklearn.model_selection import (  # noqa: E402
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_score,
)

from fastbp.sklearn import MLPClassifier  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((600, 64))
Y = (X[:, :3] ** 2).argmax(axis=1)
GRID = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(4,), (8,)]}


def estimator(sizes=(8,), **options):
    options = {"max_iter": 3, "random_state": 0, "n_iter_no_change": 100, **options}
    return MLPClassifier(sizes, **options)


def cores_of_a_worker(fitted, x, y):
    return fb.get_num_threads()


def in_place(x, y):
    """Whether the rows of a fit are those of `x`, and what `x` is."""
    net = fb.Network(x.shape[1], [fb.Dense(3, "softmax")], seed=0)
    found = []

    class Look:
        def on_fit_begin(self, trainer, rows, y, validation_data):
            checked = trainer._examples(rows, y)[0][0]
            found.append(np.shares_memory(checked.data, x))

    fb.Trainer(net, "cross_entropy", seed=0).fit(x, y, callbacks=[Look()])
    return found, isinstance(x, np.memmap), x.flags.writeable, net.parameters


@pytest.fixture
def four_threads():
    fb.set_num_threads(4)
    yield
    fb.set_num_threads(None)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fits_in_threads_share_the_cores(four_threads, monkeypatch):
    together, chosen, choose = threading.Barrier(2, timeout=60), [], ContentionMonitor.choose
    both = threading.Event()

    def seen(monitor, team):
        n = choose(monitor, team)
        if both.is_set():
            chosen.append((team, n))
        return n

    def meet(trainer, history):
        if history.epochs in (1, 3):
            both.set() if history.epochs == 1 else both.clear()
            together.wait()

    monkeypatch.setattr(ContentionMonitor, "choose", seen)
    big = estimator((256,), batch_size=300, callbacks=[meet])
    with joblib.parallel_config("threading", n_jobs=2):
        cross_val_score(big, X, Y, cv=2)
    assert {team for team, _ in chosen} == {4}
    assert max(n for _, n in chosen) <= 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("search", [GridSearchCV, HalvingGridSearchCV])
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_search_with_workers_finds_what_it_finds_alone(search, backend):
    options = {"random_state": 0} if search is HalvingGridSearchCV else {}
    alone = search(estimator(), GRID, cv=2, **options).fit(X, Y)
    with joblib.parallel_config(backend):
        found = search(estimator(), GRID, cv=2, n_jobs=2, **options).fit(X, Y)
    for name, column in alone.cv_results_.items():
        if "time" not in name:
            assert np.array_equal(np.asarray(column), np.asarray(found.cv_results_[name])), name
    assert found.best_params_ == alone.best_params_


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_workers_that_are_processes_share_the_cores():
    with joblib.parallel_config("loky", n_jobs=2):
        found = cross_val_score(estimator(), X, Y, cv=4, scoring=cores_of_a_worker)
    assert 2 * max(found) <= max(2, joblib.cpu_count())


@pytest.mark.slow
def test_read_only_memory_maps_of_workers_are_used_in_place():
    plain = in_place(X, Y)
    calls = joblib.Parallel(2, backend="loky", max_nbytes=1000)(
        joblib.delayed(in_place)(X, Y) for _ in range(2)
    )
    for shared, mapped, writeable, parameters in calls:
        assert (shared, mapped, writeable) == ([True], True, False)
        assert np.array_equal(parameters, plain[3])
