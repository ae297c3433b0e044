"""`train_many`: each network as it is alone, whatever is trained beside it."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

import fastbp as fb
from fastbp import errors
from fastbp.many import TrainedNetworks

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 5))
Y = np.abs(X).argmax(axis=1) % 3
WORDS = np.array(["b", "a", "c"])[Y]
T = X[:, :2] * [1, -1]
W = RNG.uniform(0, 2, 60)


def alone(config, x=X, y=Y, epochs=3, n_outputs=3, activation="softmax", **fit):
    """A network that is made and trained by hand."""
    config = {"hidden": [7], "loss": "cross_entropy", **config}
    hidden = [fb.Dense(units, "relu") for units in config.pop("hidden")]
    network = fb.Network(
        5,
        [*hidden, fb.Dense(n_outputs, activation)],
        config.pop("dtype", "float32"),
        config.get("seed"),
        config.pop("preprocessing", None),
    )
    trainer = fb.Trainer(network, **copy.deepcopy(config))
    trainer.fit(x, y, config.pop("epochs", epochs), **fit)
    return trainer


def values(trainer):
    history = {k: v for k, v in trainer.history.items() if k != "seconds"}
    return trainer.network.parameters.tobytes(), history


CONFIGS = [
    {"hidden": [7], "seed": 0},
    {"hidden": [16, 4], "seed": 1, "optimizer": fb.Adam(0.01)},
    {"hidden": [], "seed": 2, "batch_size": None, "l2": 0.01},
    {"hidden": [7], "seed": 3, "dtype": "float64", "optimizer": fb.LBFGS(), "batch_size": None},
    {"hidden": [9], "seed": 4, "class_weight": "balanced", "metrics": ["f1"], "shuffle": False},
    {"hidden": [9], "seed": 4, "optimizer": fb.SGD(fb.ReduceOnPlateau(0.1, patience=0))},
]


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
@pytest.mark.parametrize("fit", [{}, {"validation_data": (X[:9], Y[:9])}, {"sample_weight": W},
                                 {"validation_split": 0.3}],
                         ids=lambda fit: next(iter(fit), "plain"))  # fmt: skip
def test_each_has_the_bits_that_it_has_alone(fit, n_jobs):
    pytest.importorskip("scipy")  # for LBFGS
    found = fb.train_many(CONFIGS, X, Y, epochs=3, n_jobs=n_jobs, **fit)
    assert [entry.index for entry in found] == list(range(len(CONFIGS)))
    assert not found.errors
    for config, entry in zip(CONFIGS, found, strict=True):
        assert values(entry.trainer) == values(alone(config, **fit)), config


@pytest.mark.parametrize(
    ("y", "loss", "output"),
    [
        (Y, None, (3, "softmax")),
        (WORDS, None, (3, "softmax")),
        (list(WORDS), None, (3, "softmax")),
        (Y == 1, None, (2, "softmax")),
        (Y == 1, "binary_cross_entropy", (1, "sigmoid")),
        (T, None, (2, "linear")),
        (T[:, 0], None, (1, "linear")),
        (Y, "mse", (1, "linear")),
        (Y, "multiclass_hinge", (3, "linear")),
        (Y, fb.losses.Poisson(), (1, "linear")),
        (np.eye(3)[Y], "cross_entropy", (3, "softmax")),
    ],
)
def test_the_output_layer_is_that_of_the_loss_and_of_the_targets(y, loss, output):
    config = {"hidden": 4, "seed": 0} | ({"loss": loss} if loss is not None else {})
    (found,) = fb.train_many(config, X, y)
    layer = found.network.layers[-1]
    assert (layer.units, layer.activation) == output
    assert found.error is None


def test_data_are_used_in_place(tmp_path):
    seen = []
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    frozen = X.astype(np.float32)
    frozen.flags.writeable = False
    for x in (X, (100 * X).astype(np.int16), frozen, mapped):

        class Look:
            def __deepcopy__(self, memo):
                return self

            def on_fit_begin(self, trainer, rows, y, validation_data, x=x):
                seen.append(np.shares_memory(rows, x))

        fb.train_many([{"hidden": [3]}] * 3, x, Y, callbacks=[Look()])
    assert seen == [True] * 12


def test_what_cannot_be_used_in_place_is_converted_once():
    seen = []
    fb.train_many(
        [{"hidden": [3]}] * 3, X.tolist(), Y, callbacks=[lambda t, h: None, Recorder(seen)]
    )
    assert len({id(rows) for rows in seen}) == 1


class Recorder:
    """Notes the rows; a copy notes them in the same list."""

    def __init__(self, rows):
        self.rows = rows

    def __deepcopy__(self, memo):
        return Recorder(self.rows)

    def on_fit_begin(self, trainer, rows, y, validation_data):
        self.rows.append(rows)


def test_frames_name_columns_and_classes():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("vwxyz"))
    y = pandas.Series(WORDS, dtype=pandas.CategoricalDtype(["c", "b", "a"]))
    found = fb.train_many([{"hidden": [7], "seed": 0}], frame, y, epochs=3, folds=2)
    for entry in found:
        assert entry.network.columns == tuple("vwxyz")
        assert entry.network.classes.tolist() == ["c", "b", "a"]
    (whole,) = fb.train_many([{"hidden": [7], "seed": 0}], frame, y, epochs=3)
    assert values(whole.trainer) == values(alone({"seed": 0}, frame, y))


def test_configurations_of_ones_own():
    def build(width):
        net = fb.Network(5, [fb.Dense(width, "tanh"), fb.Dense(3, "softmax")], seed=width)
        return fb.Trainer(net, "cross_entropy", seed=width)

    found = fb.train_many(range(3, 6), X, Y, epochs=2, build=build)
    ready = fb.train_many([build(width) for width in range(3, 6)], X, Y, epochs=2)
    for width, entry, other in zip(range(3, 6), found, ready, strict=True):
        trainer = build(width)
        trainer.fit(X, Y, 2)
        assert entry.config == width
        assert values(entry.trainer) == values(trainer) == values(other.trainer)


def test_options_of_all_and_of_one():
    seen = []
    found = fb.train_many(
        [{}, {"hidden": [2], "epochs": 4, "callbacks": [lambda t, h: seen.append(h.epochs)]}],
        X, Y, epochs=2, hidden=[6], seed=0,
    )  # fmt: skip
    assert [entry.network.layers[0].units for entry in found] == [6, 2]
    assert [entry.history.epochs for entry in found] == [2, 4]
    assert seen == [1, 2, 3, 4]
    assert found[0].config == {"hidden": [6], "seed": 0}


def test_layers_may_be_given_whole():
    layers = [fb.Maxout(4), fb.Dense(3, "softmax")]
    found = fb.train_many([{"layers": layers, "loss": "cross_entropy", "seed": s} for s in (0, 1)],
                          X, Y)  # fmt: skip
    assert [type(entry.network.layers[0]) for entry in found] == [fb.Maxout] * 2
    assert not np.array_equal(found[0].network.parameters, found[1].network.parameters)


def test_optimizers_and_callbacks_are_copied():
    optimizer, stop = fb.SGD(fb.ReduceOnPlateau(1.0, patience=0)), fb.EarlyStopping(1)
    before = repr(optimizer), vars(stop).copy()
    data = {"validation_data": (X[:9], Y[:9])}
    found = fb.train_many(CONFIGS[:3], X, Y, epochs=30, optimizer=optimizer, callbacks=[stop],
                          **data)  # fmt: skip
    assert (repr(optimizer), vars(stop)) == before
    for config, entry in zip(CONFIGS[:3], found, strict=True):
        own = {"optimizer": fb.SGD(fb.ReduceOnPlateau(1.0, patience=0)), **config}
        twin = alone(own, epochs=30, callbacks=[fb.EarlyStopping(1)], **data)
        assert values(entry.trainer) == values(twin)
        (mine,) = entry.callbacks
        assert entry.epoch == mine.best_epoch
        assert entry.metrics["val_loss"] == entry.trainer.evaluate(X[:9], Y[:9])["loss"]
        assert entry.metrics.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert any(entry.epoch < entry.history.epochs for entry in found)


def test_the_error_of_one_does_not_end_the_others():
    configs = [{"seed": 0}, {"seed": 1, "optimizer": fb.SGD(1e30)}, {"seed": 2}]
    found = fb.train_many(configs, X, Y, epochs=3, hidden=[7])
    assert [type(entry.error) for entry in found] == [
        type(None), errors.DivergenceError, type(None)
    ]  # fmt: skip
    for i in (0, 2):
        assert values(found[i].trainer) == values(alone(configs[i]))
    assert len(found.errors) == 1
    assert found.best("loss").index != 1
    assert "DivergenceError" in found.table()[1]["error"]
    assert "1 failed" in repr(found)


def test_the_error_of_one_ends_all_if_so_wanted():
    configs = [{"seed": 0, "optimizer": fb.SGD(1e30)}, *({"seed": 1, "epochs": 10**6},) * 5]
    with pytest.raises(errors.DivergenceError) as caught:
        fb.train_many(configs, X, Y, epochs=10**6, hidden=[7], on_error="raise")
    found = caught.value.results
    assert isinstance(found, TrainedNetworks)
    assert found[0].error is caught.value
    assert all(entry.history.epochs < 10**6 for entry in found)


def trainer_of(optimizer, seed=0, network=None):
    layers = [fb.Dense(3, "softmax")]
    return fb.Trainer(network or fb.Network(5, layers, seed=seed), "cross_entropy", optimizer)


SHARED = fb.SGD(0.1)
NETWORK = fb.Network(5, [fb.Dense(3, "softmax")], seed=0)


@pytest.mark.parametrize(
    ("configs", "options", "match"),
    [
        ([], {}, r"configs: got none"),
        ([3], {}, r"configs\[0\]: got 3, wanted a dict"),
        ([{"hidden": [3]}, {}], {}, r"configs\[1\]: hidden: got neither"),
        ([{"hidden": [3], "layers": [fb.Dense(3)]}], {}, r"configs\[0\]: hidden: got both"),
        ([{"layers": [fb.Dense(3)]}], {}, r"configs\[0\]: loss: got none with layers"),
        ([{"hidden": [3], "lerning_rate": 1}], {}, r"configs\[0\]: got the option 'lerning_rate'"),
        ([{"hidden": [3], "batch_size": 0}], {}, r"configs\[0\]: batch_size: got 0"),
        ([{"hidden": [0]}], {}, r"configs\[0\]: hidden: got 0"),
        ([{"hidden": 2.5}], {}, r"configs\[0\]: hidden: got 2.5"),
        ([{"hidden": [3], "loss": "mde"}], {}, r"configs\[0\]: loss: got 'mde'"),
        ([{"hidden": [3], "loss": "multiclass_hinge", "metrics": ["log_loss"]}], {},
         r"configs\[0\]: metrics: got 'log_loss'"),
        ([{"hidden": [3], "epochs": 0}], {}, r"configs\[0\]: epochs: got 0"),
        ([{"hidden": [3], "callbacks": [3]}], {}, r"configs\[0\]: callbacks: got 3"),
        ([trainer_of(None)], {"hidden": [3]}, r"hidden: got an option beside configs\[0\]"),
        ([trainer_of(None)], {"folds": 2}, r"configs\[0\]: got a Trainer beside folds"),
        ([trainer_of(SHARED), trainer_of(SHARED)], {}, r"got one optimizer for configs\[0\] and"),
        ([trainer_of(None, network=NETWORK), trainer_of(None, network=NETWORK)], {},
         r"got one network for configs\[0\] and configs\[1\]"),
        ([1], {"build": 3}, r"build: got 3"),
        ([1], {"build": lambda config: config}, r"configs\[0\]: build: got 1 from it"),
        ([{"hidden": [3]}], {"folds": 1}, r"folds: got 1, wanted 2"),
        ([{"hidden": [3]}], {"folds": 61}, r"folds: got 61"),
        ([{"hidden": [3]}], {"folds": "five"}, r"folds: got 'five'"),
        ([{"hidden": [3]}], {"folds": []}, r"folds: got none"),
        ([{"hidden": [3]}], {"folds": [([0, 1], [60])]}, r"folds: got \[60\]"),
        ([{"hidden": [3]}], {"folds": [([0, 1], [-1])]}, r"folds: got \[-1\]"),
        ([{"hidden": [3]}], {"folds": 2, "validation_split": 0.5}, r"validation_split: got one"),
        ([{"hidden": [3]}], {"folds": 2, "validation_data": (X, Y)}, r"validation_data: got one"),
        ([{"hidden": [3]}], {"n_jobs": 0}, r"n_jobs: got 0"),
        ([{"hidden": [3]}], {"on_error": "stop"}, r"on_error: got 'stop'"),
        ([{"hidden": [3], "preprocessing": fb.preprocess.Standardize()}],
         {"validation_split": 0.5}, r"configs\[0\]: preprocessing: got a map that is not fitted"),
        ([{"hidden": [3]}] * 2, {"callbacks": [fb.Checkpoint("a.ckpt")]}, "got one Checkpoint"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_before_anything_is(configs, options, match):
    begun = []
    callbacks = [*options.pop("callbacks", []), lambda t, h: begun.append(t)]
    with pytest.raises(errors.ConfigError, match=match):
        fb.train_many(configs, X, Y, callbacks=callbacks, **options)
    assert not begun


@pytest.mark.parametrize(
    ("x", "y", "options", "kind"),
    [
        (X * np.nan, Y, {}, errors.InputError),
        (X, Y[:-1], {}, errors.ShapeError),
        (X, Y[:-1], {"folds": 2}, errors.ShapeError),
        (X, Y - 1, {"layers": [fb.Dense(2, "softmax")], "loss": "cross_entropy"},
         errors.LabelError),
        (X, Y, {"validation_data": (X[:, :2], Y)}, errors.ShapeError),
        (X, Y, {"sample_weight": -W}, errors.FastbpError),
    ],
)  # fmt: skip
def test_data_are_checked_before_anything_is_trained(x, y, options, kind):
    begun = []
    options = options if "layers" in options else {"hidden": [3], **options}
    with pytest.raises(kind):
        fb.train_many([{}, {}], x, y, callbacks=[lambda t, h: begun.append(t)], **options)
    assert not begun


def test_blas_has_one_thread_as_long_as_any_l_bfgs_runs():
    pytest.importorskip("scipy")
    info = pytest.importorskip("threadpoolctl").threadpool_info
    seen, ended = [], threading.Event()

    def blas():
        return [lib["num_threads"] for lib in info() if lib["user_api"] == "blas"]

    def wait_for_the_other(trainer, history):
        assert ended.wait(60)
        seen.extend(blas())

    class End:
        def __deepcopy__(self, memo):
            return self

        def on_fit_end(self, trainer, history):
            threading.Timer(0.05, ended.set).start()

    configs = [{"callbacks": [End()]}, {"callbacks": [wait_for_the_other], "epochs": 2}]
    options = {"hidden": [3], "optimizer": fb.LBFGS(), "batch_size": None, "n_jobs": 2}
    before = blas()
    assert not fb.train_many(configs, X, Y, **options).errors
    assert set(seen) <= {1}
    assert blas() == before
