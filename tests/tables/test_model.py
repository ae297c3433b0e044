"""The model of a table: from the rows to predictions, into a file and back, stopped and resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastbp as fb
from fastbp import errors
from fastbp.formats import modelfile
from fastbp.tables import Columns, Table, TableModel

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

QUICK = {"epochs": 6, "hidden": [16], "learning_rate": 0.05, "batch_size": 8, "dropout": 0.0}


def flowers(n=60, seed=0):
    """Three kinds in three places, with a colour that says nothing and gaps."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    length = rng.normal(kind * 10, 1).round(2).astype(str).astype(object)
    length[::17] = None
    return {
        "length": length,
        "width": rng.normal(kind * 0.01, 0.002),
        "colour": np.array(["red", "blue"])[rng.integers(2, size=n)],
        "kind": np.array(["010", "rose", "lily, white"])[kind],
    }


def prices(n=80, seed=0):
    rng = np.random.default_rng(seed)
    size, age = rng.normal(100, 20, n), rng.integers(0, 50, n)
    return {"size": size, "age": age, "price": 5000 + 30 * size - 20 * age + rng.normal(0, 5, n)}


def bits(model):
    return [network.parameters.tobytes() for network in model.networks]


@pytest.fixture(scope="module")
def fitted():
    """One model of classes and one of a quantity, for tests that change neither."""
    return {
        "kind": TableModel("kind", ensemble=2, **QUICK).fit(flowers()),
        "price": TableModel("price", **QUICK | {"epochs": 12}).fit(prices()),
    }


def test_labels_come_back_as_written(fitted):
    found = fitted["kind"].predict(flowers(12, 1))
    assert found.dtype == object
    assert found.tolist() == flowers(12, 1)["kind"].tolist()
    shares = fitted["kind"].predict_proba(flowers(12, 1))
    assert shares.shape == (12, 3)
    assert np.allclose(shares.sum(axis=1), 1)
    assert fitted["kind"].target.classes[shares[0].argmax()] == "010"


def test_values_are_in_units(fitted):
    table = prices(20, 1)
    values = fitted["price"].predict(table)
    assert values.dtype == np.float64
    assert np.corrcoef(values, table["price"])[0, 1] > 0.9
    assert abs(values.mean() - table["price"].mean()) < 300


def test_scores_are_those_of_the_predictions(fitted):
    table = flowers(30, 2)
    scores = dict(fitted["kind"].evaluate(table).items())
    assert scores["accuracy"] == np.mean(fitted["kind"].predict(table) == table["kind"])
    table = prices(30, 2)
    errors_of = fitted["price"].predict(table) - table["price"]
    scores = dict(fitted["price"].evaluate(table).items())
    assert np.isclose(scores["rmse"], np.sqrt(np.mean(errors_of**2)))
    # The baseline is the mean of the training part.
    mean = np.mean(prices()["price"])
    always = np.sqrt(np.mean((table["price"] - mean) ** 2))
    assert np.isclose(scores["baseline_rmse"], always, rtol=1e-6)


def test_a_label_that_training_had_not_is_wrong(fitted):
    table = flowers(9, 3)
    table["kind"][0] = "weed"
    rows, codes = fitted["kind"].truth(table)
    assert (len(rows), codes[0], codes.max()) == (9, -1, 2)
    assert dict(fitted["kind"].evaluate(table).items())["accuracy"] <= 8 / 9


def test_an_ensemble_is_the_mean_of_its_networks(fitted):
    model = fitted["kind"]
    x = model.columns.transform(Table(flowers(5, 1)))
    each = [network.predict(x).astype(float) for network in model.networks]
    assert bits(model)[0] != bits(model)[1]
    assert np.array_equal(model.outputs(x), (each[0] + each[1]) / 2)
    assert len(model.histories) == len(model.best_epochs) == 2
    # The first network is the one of a model of one.
    assert bits(TableModel("kind", **QUICK).fit(flowers())) == bits(model)[:1]


def test_the_best_epoch_is_kept(fitted):
    for model in fitted.values():
        for history, best in zip(model.histories, model.best_epochs, strict=True):
            assert history["val_loss"][best - 1] == min(history["val_loss"])
    held = TableModel("price", **QUICK).fit(prices(), prices(40, 5))
    assert held.record["validation_rows"] == 40


def test_same_bits_for_any_number_of_threads_and_another_for_another_seed():
    one, two = (TableModel("kind", n_threads=n, **QUICK).fit(flowers()) for n in (1, 2))
    assert bits(one) == bits(two)
    assert bits(TableModel("kind", seed=1, **QUICK).fit(flowers())) != bits(one)


@pytest.mark.parametrize("what", ["kind", "price"])
def test_a_file_holds_all_of_it(fitted, what, tmp_path):
    model, table = fitted[what], {"kind": flowers, "price": prices}[what](15, 4)
    model.save(tmp_path / "m")
    again = TableModel.load(tmp_path / "m")
    assert np.array_equal(again.predict(table), model.predict(table))
    assert bits(again) == bits(model)
    assert again.histories == model.histories
    assert again.evaluate(table) == model.evaluate(table)
    assert again.columns.summary() == model.columns.summary()
    for name in ("best_epochs", "notes", "record", "target_name", "seed"):
        assert getattr(again, name) == getattr(model, name)


def test_a_file_of_another_kind_is_named(fitted, tmp_path):
    fitted["price"].save(tmp_path / "m")
    for load in (fb.load, fb.Trainer.load):
        with pytest.raises(errors.CorruptModelError, match=r"TableModel\.load reads it"):
            load(tmp_path / "m")
    fitted["price"].networks[0].save(tmp_path / "n")
    with pytest.raises(errors.CorruptModelError, match=r"fastbp\.load reads it"):
        TableModel.load(tmp_path / "n")


def forged(path, change):
    """Write the model again with another description and a right checksum."""
    architecture, tensors, table = modelfile.read_any(path)
    architecture, table = json.loads(json.dumps([architecture, table]))
    change(architecture, tensors, table)
    modelfile.write(path, architecture, tensors, None, table)


def removed(key):
    return lambda a, t, table: table.pop(key)


def changed(key, value):
    return lambda a, t, table: table.update({key: value})


FORGERIES = {
    **{f"no {key}": removed(key) for key in (
        "version", "columns", "target", "target_name", "stopped", "best_epochs", "notes", "record"
    )},
    "version": changed("version", 2),
    "columns of text": changed("columns", "x"),
    "no column": changed("columns", {}),
    "target of a list": changed("target", []),
    "best epochs of text": changed("best_epochs", ["x", 1]),
    "a best epoch too few": changed("best_epochs", []),
    "notes of null": changed("notes", None),
    "record of nothing": changed("record", {}),
    "stopped too often": changed("stopped", [None] * 9),
    "no networks": lambda a, t, table: a.update(networks=[]),
    "networks of null": lambda a, t, table: a.update(networks=None),
    "a network of nothing": lambda a, t, table: a.update(networks=[{}, {}]),
    "thousands of networks": lambda a, t, table: a.update(networks=a["networks"] * 2000),
    "a tensor more": lambda a, t, table: t.update(more=np.zeros(3)),
    "a tensor less": lambda a, t, table: t.pop("networks.0.layers.0.bias"),
    "a history of two lengths": lambda a, t, table: t.update(
        {"histories.0.loss": np.zeros(3)}
    ),
    "a history of a matrix": lambda a, t, table: t.update({"histories.0.loss": np.zeros((6, 2))}),
    "no parameters": lambda a, t, table: t.pop("columns.parameters"),
    "wide parameters": lambda a, t, table: t.update({"columns.parameters": np.zeros((3, 9))}),
    "shares of another length": lambda a, t, table: table["record"].update(shares=[1.0]),
    "shares of text": lambda a, t, table: table["record"].update(shares=["a", "b", "c"]),
    "seed of text": lambda a, t, table: table["record"].update(seed="x"),
    "missing of null": lambda a, t, table: table["record"].update(missing=None),
    "header of null": lambda a, t, table: table["record"].pop("header"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGERIES)
def test_hostile_content_is_refused(fitted, case, tmp_path):
    fitted["kind"].save(tmp_path / "m")
    forged(tmp_path / "m", lambda a, t, table: None)
    TableModel.load(tmp_path / "m")
    forged(tmp_path / "m", FORGERIES[case])
    with pytest.raises(errors.CorruptModelError, match=str(tmp_path / "m")):
        TableModel.load(tmp_path / "m")


def test_every_flipped_byte_is_found(fitted, tmp_path):
    path = tmp_path / "m"
    fitted["price"].save(path)
    content = path.read_bytes()
    for at in range(0, len(content), 997):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(errors.CorruptModelError):
            TableModel.load(path)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    options = {"ensemble": 2, **QUICK}
    whole = TableModel("kind", **options).fit(flowers())
    path = tmp_path / "run"

    def stop(trainer, history):
        if history.epochs == 3:
            model.stop("enough")

    model = TableModel("kind", **options)
    model.fit(flowers(), callbacks=[stop], checkpoint=path)
    assert [history.epochs for history in model.histories] == [3]
    assert model.histories[0].stopped == "enough"
    assert model.predict(flowers(3)).shape == (3,)
    again = TableModel("kind", **options).fit(flowers(), checkpoint=path, resume=path)
    assert bits(again) == bits(whole)
    assert again.best_epochs == whole.best_epochs
    # What is done is not done again.
    done = TableModel("kind", **options).fit(flowers(), resume=path)
    assert bits(done) == bits(whole)


@pytest.mark.parametrize(
    ("options", "table"),
    [({"seed": 1}, flowers()), ({"hidden": [9]}, flowers()), ({}, flowers(seed=1)),
     ({"epochs": 7}, flowers()), ({"patience": 2}, flowers())],
)  # fmt: skip
def test_a_checkpoint_of_another_run_is_refused(options, table, tmp_path):
    TableModel("kind", **QUICK | {"epochs": 2}).fit(flowers(), checkpoint=tmp_path / "run")
    with pytest.raises(errors.ConfigError, match="of another run"):
        TableModel("kind", **QUICK | {"epochs": 2} | options).fit(table, resume=tmp_path / "run")


def test_a_model_that_was_stopped_before_its_first_step_has_no_network():
    class Stop:
        def on_fit_begin(self, trainer, x, y, validation_data):
            model.stop()

    model = TableModel("kind", **QUICK)
    model.fit(flowers(), callbacks=[Stop()])
    # The step that is running is done.
    assert len(model.networks) <= 1
    with pytest.raises(errors.ConfigError, match="wanted fit first"):
        TableModel("kind").predict(flowers())


def test_divergence_is_tried_again_at_a_lower_rate(monkeypatch):
    factors, build = [], fb.models.tabular

    def tabular(*arguments, rate_factor=1.0, **options):
        factors.append(rate_factor)
        options |= {"clip_norm": None, "learning_rate": 1e30 if rate_factor == 1 else 0.01}
        return build(*arguments, **options)

    monkeypatch.setattr(fb.models, "tabular", tabular)
    model = TableModel("price", epochs=2).fit(prices())
    assert factors == [1.0, 0.1]
    assert any("diverged" in note and "begun again" in note for note in model.notes)
    assert np.isfinite(model.predict(prices())).all()


def test_divergence_twice_is_an_error():
    with pytest.raises(errors.DivergenceError):
        TableModel("price", epochs=2, learning_rate=1e35, clip_norm=None).fit(prices())


def test_rows_without_a_target_are_left_out_and_counted():
    table = flowers()
    kinds = table["kind"].astype(object)
    kinds[:6] = None
    model = TableModel("kind", **QUICK).fit({**table, "kind": kinds})
    assert model.record["rows"] == 54
    assert "6 of 60 rows have no 'kind': left out" in model.notes
    assert model.evaluate({**table, "kind": kinds}).n_rows == 54


def test_few_rows_are_said():
    model = TableModel("kind", **QUICK).fit(flowers(9))
    assert any("only 9 rows" in note for note in model.notes)
    assert model.record["validation_rows"] == 0


@pytest.mark.parametrize(
    ("target", "name"), [(None, "kind"), ("colour", "colour"), (0, "length"), (-2, "colour")]
)
def test_the_target_by_name_and_position(target, name):
    task = "regression" if name == "length" else None
    model = TableModel(target, task, **QUICK | {"epochs": 1}).fit(flowers())
    assert model.target_name == name
    assert name not in model.columns.inputs


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"target": "kid"}, errors.ConfigError, "no column 'kid', did you mean 'kind'"),
        ({"target": 4}, errors.ConfigError, "no column 4"),
        ({"target": 1.5}, errors.ConfigError, "wanted the name or position"),
        ({"task": "both"}, errors.ConfigError, "task"),
        ({"columns": ["a"]}, errors.ConfigError, "wanted a Columns"),
        ({"columns": Columns(drop=["widht"])}, errors.ConfigError, "width"),
        ({"ensemble": 0}, errors.ConfigError, "ensemble"),
        ({"seed": None}, errors.ConfigError, "seed"),
        ({"seed": -1}, errors.ConfigError, "seed"),
        ({"validation_fraction": 1}, errors.ConfigError, "validation_fraction"),
        ({"epochs": 0}, errors.ConfigError, "epochs"),
        ({"patience": -1}, errors.ConfigError, "patience"),
        ({"momentum": 0.5}, errors.ConfigError, "momentum"),
        ({"hiden": [3]}, errors.ConfigError, "hiden"),
        ({"target": "length", "task": "regression", "loss": "cross_entropy"}, errors.ConfigError,
         "loss"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_used(options, error, text):
    with pytest.raises(error, match=text):
        TableModel(**QUICK | {"target": "kind"} | options).fit(flowers(20))


def test_rows_that_cannot_be_used(fitted):
    with pytest.raises(errors.InputError, match="wanted 2 or more"):
        TableModel("kind").fit({"x": [1.0, 2], "kind": ["a", None]})
    with pytest.raises(errors.ShapeError, match="width"):
        fitted["kind"].predict({"length": ["1"], "colour": ["red"]})
    with pytest.raises(errors.ConfigError, match="no column 'kind'"):
        fitted["kind"].evaluate({"length": ["1"], "width": [1.0], "colour": ["red"]})
    with pytest.raises(errors.ConfigError, match="of the quantity 'price'"):
        fitted["price"].predict_proba(prices())
