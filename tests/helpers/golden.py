"""Files of every format version, kept for ever, and what must come out of them.

`python -m golden` writes those that are missing, in the version of today, with the digests of what
comes out. A file that is there is never written again: the next version has a prefix of its own.
Those called "first" are of before version 1 had all that it has. No number is drawn by NumPy.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np

import fastbp as fb
from fastbp.engine.runtime import ACTIVATIONS

FOLDER = Path(__file__).parent.parent / "formats" / "golden"
DIGESTS = FOLDER / "digests.json"
VERSION = "v1"
DTYPES = ("float32", "float64")


def rows(n=12, n_inputs=3):
    i, j = np.ogrid[:n, :n_inputs]
    return ((i * 7 + j * 3) % 61 - 26) / 30


X, Y = rows(), np.arange(12) % 3
VALIDATION = rows(6)[::-1] + 0.25, Y[:6]


def filled(network):
    """The network with weights that follow from their places."""
    i = np.arange(network.n_parameters)
    network.parameters = ((i * 37) % 61 - 26) / 30
    return network


def every_layer(dtype):
    """A model of every kind of layer, activation, gate, group and name."""
    layers = [fb.Dense(4, name) for name in ACTIVATIONS if name not in ("sign", "step", "softmax")]
    layers += [fb.Dense(3, fb.activations.LeakyReLU(0.3), dropout=0.25)]
    layers += [fb.Dense(3, fb.activations.ELU(0.5), trainable=False)]
    layers += [fb.Maxout(3, 3, learning_rate_factor=0.5), fb.Gated(3, fb.activations.ELU(0.75))]
    layers += [fb.Residual([fb.Gated(3)]), fb.Residual([fb.Residual([fb.Maxout(2)]), fb.Dense(2)])]
    layers += [fb.Dense(3, name, decay_factor=0.0) for name in ("softmax", "sign", "step")]
    layers += [fb.Dense(3, "softmax")]
    scaled = fb.preprocess.Standardize().fit(X + np.arange(3))
    network = filled(fb.Network(3, layers, dtype, seed=0, preprocessing=scaled))
    network.layers[-5].trainable = False  # its projection too
    network.metadata = {"by": "fastbp", "note": "ä €"}
    network.classes, network.columns = ["no", "yes", "ä"], ["width", "height", "ß"]
    return network


def behind_a_matrix(dtype):
    """A model whose preprocessing is no diagonal, with classes that are numbers."""
    layers = [fb.Dense(4, "tanh"), fb.Dense(1, "sigmoid")]
    components = fb.preprocess.Affine([0.5, -1, 2], [[1, 2], [0.5, -0.25], [3, 0]])
    network = filled(fb.Network(2, layers, dtype, seed=0))
    network = fb.Network(3, network.layers, dtype, preprocessing=components, keep_weights=True)
    network.classes = [10, 20]
    return network


class EndHereError(Exception):
    """The process would end here."""


def stopped(trainer, history):
    if history.epochs == 3:
        raise EndHereError


def trained(dtype, optimizer, loss="cross_entropy", last="softmax", steps=0, **options):
    """A trainer after three epochs of a fit that did not end, and some steps."""
    layers = [fb.Dense(3, "tanh", dropout=0.2), fb.Residual([fb.Maxout(3)], None)]
    layers += [fb.Dense(3, "gelu", trainable=False), fb.Dense(3, last)]
    network = filled(fb.Network(3, layers, dtype, seed=0))
    options = {"batch_size": 4, "seed": 3, **options}
    owner = fb.Trainer(network, loss, optimizer, **options)
    rules = [fb.EarlyStopping(9, min_delta=0.01), stopped]
    try:
        owner.fit(X, Y, 5, VALIDATION, rules)
    except EndHereError:
        for _ in range(steps):
            owner.step(X[:5], Y[:5])
    return owner


CHECKPOINTS = {
    "sgd": lambda dtype: trained(
        dtype, fb.SGD(0.1), class_weight={0: 2.0, 2: 0.5}, metrics=["f1", "top_2"]
    ),
    "momentum": lambda dtype: trained(
        dtype, fb.SGD(fb.Step(0.1, 3), momentum=0.9), fb.losses.CrossEntropy(0.1), l1=0.01, l2=0.02
    ),
    "nesterov": lambda dtype: trained(
        dtype,
        fb.SGD(fb.Warmup(fb.Cosine(0.1, 30), 5), momentum=0.5, nesterov=True),
        clip_norm=0.5,
        steps=2,
    ),
    "adagrad": lambda dtype: trained(
        dtype,
        fb.Adagrad(fb.Exponential(0.1, 0.9, per="epoch")),
        "multiclass_hinge",
        "linear",
        shuffle=False,
    ),
    "rmsprop": lambda dtype: trained(
        dtype, fb.RMSprop(fb.InverseTime(0.01, 0.1)), max_norm=0.8, class_weight="balanced"
    ),
    "adam": lambda dtype: trained(
        dtype, fb.Adam(fb.ReduceOnPlateau(0.05, patience=1, threshold=0.5)), clip_value=0.2, steps=1
    ),
    "log-cosine": lambda dtype: trained(dtype, fb.AdamW(fb.LogCosine(0.02, 40))),
    "adamw": lambda dtype: trained(
        dtype, fb.AdamW(fb.Polynomial(0.02, 40), weight_decay=0.1), batch_size=None, average="rows"
    ),
}


def column_of(n, *parts):
    """Cells that repeat."""
    return [parts[i % len(parts)] for i in range(n)]


def table(n=24):
    """Columns of every kind, with gaps, and targets that they say something of."""
    return {
        "row": list(range(1, n + 1)),
        "size": [None if i % 11 == 10 else str((i * 7) % 20 / 4) for i in range(n)],
        "share": column_of(n, "5%", "10%", "20%", "2.5%", "50%"),
        "colour": column_of(n, "red", "blue", "ä €", "red", None),
        "old": column_of(n, "yes", "no", "no"),
        "day": [f"2026-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(n)],
        "kind": column_of(n, "007", "rose", "lily, white"),
        "price": [f"{1000 * 3 ** (i % 7):,}" for i in range(n)],
    }


def of_kinds():
    """An ensemble that tells classes."""
    drop = fb.tables.Columns(drop=["price"], categorical=["colour"])
    return fb.tables.TableModel("kind", None, drop, 2, 5, epochs=2, hidden=[6]).fit(table())


def of_prices():
    """A network of a target whose logarithm is learned."""
    columns = fb.tables.Columns(drop=["kind"], scale="standard")
    return fb.tables.TableModel("price", "regression", columns, epochs=2, hidden=[5]).fit(table())


TABLES = {"kinds": of_kinds, "prices": of_prices}
MODELS = {"every-layer": every_layer, "matrix": behind_a_matrix}


def of_model(path):
    """What must come out of a model file, as text and as digests of bits."""
    network = fb.load(path)
    classes = None if network.classes is None else network.classes.tolist()
    found = [*network.activations(X), network.predict(X)]
    return {
        "network": repr(network),
        "names": [classes, network.columns and list(network.columns), network.metadata],
        "parameters": digest(network.parameters),
        "outputs": digest(*found),
        "numbers that differ, of every layer": [len(np.unique(each)) for each in found],
    }


def of_checkpoint(path):
    """What must come out of a checkpoint, and of it after some more training."""
    owner = fb.Trainer.load(path)
    before = digest(owner.network.parameters)
    history = {name: list(map(float.hex, column)) for name, column in owner.history.items()}
    with suppress(fb.errors.ConfigError):  # no step since the last epoch
        owner.end_epoch()
    stop = fb.EarlyStopping(9, min_delta=0.01)
    owner.fit(X, Y, 2, VALIDATION, [stop])
    owner.step(X[3:9], Y[3:9])
    column = {name: list(map(float.hex, column)) for name, column in owner.history.items()}
    del column["seconds"]
    return {
        "trainer": repr(owner),
        "parameters": before,
        "history": history,
        "parameters after training": digest(owner.network.parameters),
        "history after training": digest(json.dumps(column, sort_keys=True).encode()),
        "counts": [owner.n_steps, owner.history.epochs, stop.best_epoch],
    }


def of_table(path):
    """What must come out of the model of a table, for rows that it was not trained on."""
    model, new = fb.tables.TableModel.load(path), table(10)
    new["colour"][0], new["size"][1], new["day"][2] = "green", "1e9", None
    x = model.columns.transform(fb.tables.Table(new))
    found = model.predict(new)
    return {
        "columns": model.columns.summary(),
        "target": [model.target_name, model.target.note, list(model.target.classes)],
        "record": [model.record, list(model.notes), list(model.best_epochs)],
        "histories": [
            {name: list(map(float.hex, column)) for name, column in history.items()}
            for history in model.histories
        ],
        "inputs": digest(x),
        "outputs": digest(*(network.predict(x) for network in model.networks)),
        # Exponentials are those of the system's library.
        "predictions": [v if isinstance(v, str) else f"{v:.6g}" for v in found],
    }


def digest(*arrays):
    found = hashlib.sha256()
    for array in arrays:
        found.update(array)
    return found.hexdigest()


def recorded():
    return json.loads(DIGESTS.read_text(encoding="utf-8")) if DIGESTS.exists() else {}


def what_comes_out(name):
    path = FOLDER / f"{name}.safetensors"
    kinds = {"-checkpoint-": of_checkpoint, "-table-": of_table}
    return next((found for kind, found in kinds.items() if kind in name), of_model)(path)


def main():
    known = recorded()
    given = (path.stem for path in FOLDER.glob("*.safetensors"))  # of old versions of fastbp
    known |= {name: what_comes_out(name) for name in sorted(given) if name not in known}
    for kind, made in (("model", MODELS), ("checkpoint", CHECKPOINTS)):
        for what, build in made.items():
            for dtype in DTYPES:
                name = f"{VERSION}-{kind}-{what}-{dtype}"
                if name not in known:
                    build(dtype).save(FOLDER / f"{name}.safetensors")
                    known[name] = what_comes_out(name)
    for what, build in TABLES.items():
        name = f"{VERSION}-table-{what}"
        if name not in known:
            model = build()
            for network in model.networks:
                filled(network)
            model.save(FOLDER / f"{name}.safetensors")
            known[name] = what_comes_out(name)
    text = json.dumps(known, indent=1, ensure_ascii=False)
    DIGESTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
