"""Saved trainers: what the file holds, damage, and runs that are killed and gone on with."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from training import classes, classifier, parameters, state, trainer

import fastbp as fb
from fastbp import errors
from fastbp.formats import modelfile

X, Y = classes()
VALIDATION = classes(30, seed=1)


def own_loss(outputs, labels):
    gradient = outputs - np.eye(3, dtype=outputs.dtype)[labels]
    return (gradient**2).sum(axis=1), gradient


def own_rate(step):
    return 0.1 / (1 + step)


def trained(**options):
    owner = trainer(**{"optimizer": fb.Adam(0.01), **options})
    owner.fit(X, Y, 3)
    return owner


@pytest.fixture
def saved(tmp_path):
    """A trainer and the file it was saved to."""
    owner = trained()
    owner.save(tmp_path / "run.ckpt")
    return owner, tmp_path / "run.ckpt"


def test_the_file_is_plain_safetensors_in_the_layout_of_users(saved):
    owner, path = saved
    tensors = pytest.importorskip("safetensors.numpy").load_file(path)
    layers = [f"layers.{i}.{name}" for i in (0, 1) for name in ("weight", "bias")]
    assert set(tensors) == {
        *layers,
        *(f"optimizer.{part}.{name}" for part in ("mean", "mean_of_squares") for name in layers),
        *(f"history.{name}" for name in owner.history),
    }
    for part in ("mean", "mean_of_squares"):
        assert tensors[f"optimizer.{part}.layers.0.weight"].shape == (5, 7)
        assert tensors[f"optimizer.{part}.layers.1.bias"].all()
    assert (tensors["optimizer.mean_of_squares.layers.0.weight"] >= 0).all()
    assert tensors["history.loss"].tolist() == owner.history["loss"]


def test_the_network_of_a_checkpoint_can_be_loaded_alone(tmp_path):
    layers = [fb.Dense(3, "tanh"), fb.Dense(3, "softmax")]
    network = fb.Network(5, layers, seed=0, preprocessing=fb.preprocess.Standardize().fit(X))
    network.metadata["by"] = "me"
    owner = trained(network=network)
    owner.save(tmp_path / "run.ckpt")
    for loaded in (fb.load(tmp_path / "run.ckpt"), fb.Trainer.load(tmp_path / "run.ckpt").network):
        assert loaded.predict(X).tobytes() == network.predict(X).tobytes()
        assert loaded.metadata == network.metadata


def test_options_come_back(tmp_path):
    options = {"batch_size": None, "shuffle": False, "n_threads": 2, "l1": 0.1, "l2": 0.2,
               "penalize_bias": True, "clip_value": 3.0, "clip_norm": 4.0, "max_norm": 5.0,
               "class_weight": {0: 2.0, 2: 0.0}}  # fmt: skip
    rate = fb.Warmup(fb.Warmup(fb.Polynomial(0.2, 50, 2.0, 0.01, per="epoch"), 3), 4)
    optimizers = [fb.SGD(rate, 0.5, True), fb.Adagrad(rate, 0.1), fb.RMSprop(rate, 0.8, 0.2),
                  fb.AdamW(rate, (0.5, 0.6), 0.3, 0.4, True)]  # fmt: skip
    for optimizer in optimizers:
        loss = fb.losses.CrossEntropy(0.3)
        owner = trainer(loss=loss, optimizer=optimizer, **options)
        owner.save(tmp_path / "run.ckpt")
        loaded = fb.Trainer.load(tmp_path / "run.ckpt")
        assert repr(loaded) == repr(owner)
        assert loaded._options() == owner._options()
        assert loaded.optimizer.hyperparameters == optimizer.hyperparameters


@pytest.mark.parametrize("name", fb.losses.LOSSES)
def test_every_loss_comes_back(name, tmp_path):
    loss = fb.losses.LOSSES[name]
    for output in loss.outputs or ("tanh",):
        network = fb.Network(2, [fb.Dense(2, output)], seed=0)
        owner = fb.Trainer(network, loss)
        owner.save(tmp_path / "run.ckpt")
        assert fb.Trainer.load(tmp_path / "run.ckpt")._loss == owner._loss


def test_functions_of_ones_own_are_asked_for(tmp_path):
    path = tmp_path / "run.ckpt"
    owner = trained(loss=own_loss, optimizer=fb.SGD(fb.Warmup(own_rate, 3)))
    owner.save(path)
    given = {"loss": own_loss, "learning_rate": fb.Warmup(own_rate, 3)}
    for missing in given:
        some = {name: value for name, value in given.items() if name != missing}
        with pytest.raises(errors.ConfigError, match=f"{missing}: got None, wanted the .* own_"):
            fb.Trainer.load(path, **some)
    twin = fb.Trainer.load(path, **given)
    for each in (owner, twin):
        each.fit(X, Y, 2)
    assert parameters(twin.network) == parameters(owner.network)
    assert fb.load(path).n_inputs == 5


def test_functions_that_the_trainer_did_not_have_are_refused(saved):
    for given in ({"loss": own_loss}, {"learning_rate": own_rate}, {"learning_rate": 0.1}):
        with pytest.raises(errors.ConfigError, match="wanted none"):
            fb.Trainer.load(saved[1], **given)


def test_a_schedule_of_ones_own_gets_back_what_it_had_learnt(tmp_path):
    class Plateau(fb.ReduceOnPlateau):
        pass

    owner = trained(optimizer=fb.SGD(Plateau(0.3, patience=1, threshold=0.5)))
    owner.save(tmp_path / "run.ckpt")
    rate = Plateau(0.3, patience=1, threshold=0.5)
    fb.Trainer.load(tmp_path / "run.ckpt", learning_rate=rate)
    assert rate.progress == owner.optimizer.progress
    assert rate.current < 0.3


def test_an_optimizer_of_ones_own_class_cannot_be_saved(tmp_path):
    class Mine(fb.SGD):
        pass

    owner = trainer(optimizer=Mine(0.1))
    before = state(owner)
    for call in (
        lambda: owner.save(tmp_path / "run.ckpt"),
        lambda: owner.fit(X, Y, callbacks=[fb.Checkpoint(tmp_path / "run.ckpt")]),
    ):
        with pytest.raises(errors.ConfigError, match=r"optimizer: got one of the class .*Mine"):
            call()
    assert os.listdir(tmp_path) == []
    assert state(owner) == before


def test_a_model_file_is_no_checkpoint(tmp_path):
    classifier().save(tmp_path / "net")
    with pytest.raises(errors.CorruptModelError, match=r"not its training: fastbp\.load"):
        fb.Trainer.load(tmp_path / "net")


def test_damage_is_found(saved):
    _, path = saved
    content = path.read_bytes()
    for i in [*range(0, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:i] + bytes([content[i] ^ 0x20]) + content[i + 1 :])
        for load in (fb.Trainer.load, fb.load):
            with pytest.raises(errors.CorruptModelError, match=str(path)):
                load(path)
        path.write_bytes(content[:i])
        with pytest.raises(errors.CorruptModelError):
            fb.Trainer.load(path)
    path.write_bytes(content)
    fb.Trainer.load(path)


FORGERIES = {
    "no version": lambda training, tensors: training.pop("version"),
    "no loss": lambda training, tensors: training.pop("loss"),
    "loss": lambda training, tensors: training["loss"].update(name="money"),
    "loss's option": lambda training, tensors: training["loss"].update(options={"x": 1}),
    "a list": lambda training, tensors: training.update(loss=[]),
    "optimizer": lambda training, tensors: training["optimizer"].update(kind="Optimizer"),
    "rate": lambda training, tensors: training["optimizer"].update(learning_rate=-1),
    "schedule": lambda training, tensors: training["optimizer"].update(
        learning_rate={"kind": "Schedule", "options": {}}
    ),
    "option": lambda training, tensors: training["options"].update(batch_size=0),
    "memory": lambda training, tensors: training["state"].update(memory=["velocity", 0]),
    "steps": lambda training, tensors: training["state"].update(n_steps="many"),
    "age": lambda training, tensors: training["state"].update(memory=["means", 99]),
    "seed": lambda training, tensors: training["state"].update(dropout_seed=2**64),
    "random word": lambda training, tensors: training["state"]["generator"].update(uinteger=2**70),
    "random state": lambda training, tensors: training["state"]["generator"].update(state={}),
    "history": lambda training, tensors: training["state"].update(history=[["loss"], 9, None]),
    "a tensor less": lambda training, tensors: tensors.pop("optimizer.mean.layers.0.bias"),
    "a tensor more": lambda training, tensors: tensors.update(x=np.zeros(3)),
    "shape": lambda training, tensors: tensors.update(
        {"optimizer.mean.layers.0.bias": np.zeros(8, np.float32)}
    ),
    "dtype": lambda training, tensors: tensors.update(
        {"optimizer.mean.layers.0.bias": np.zeros(7)}
    ),
}


def test_a_later_version_is_named(tmp_path):
    architecture, tensors, training = trained()._packed()
    modelfile.write(tmp_path / "run.ckpt", architecture, tensors, training | {"version": 99})
    with pytest.raises(errors.FormatVersionError, match="version 99; this fastbp reads version"):
        fb.Trainer.load(tmp_path / "run.ckpt")


@pytest.mark.parametrize("case", FORGERIES)
def test_forged_files_build_nothing(case, tmp_path):
    """The checksum is right; what it protects is not."""
    architecture, tensors, training = trained()._packed()
    training = json.loads(json.dumps(training))
    FORGERIES[case](training, tensors)
    modelfile.write(tmp_path / "run.ckpt", architecture, tensors, training)
    with pytest.raises(errors.CorruptModelError, match=r"run\.ckpt"):
        fb.Trainer.load(tmp_path / "run.ckpt")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file(saved, monkeypatch, step):
    owner, path = saved
    before = path.read_bytes()

    def fail(*args):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space"):
        owner.fit(X, Y, 3, callbacks=[fb.Checkpoint(path)])
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    assert owner.history.epochs == 4
    assert fb.Trainer.load(path).history.epochs == 3


def unwritable(folder):
    """Paths that cannot be written to, and why."""
    yield folder / "none" / "run.ckpt", FileNotFoundError
    yield folder, IsADirectoryError
    (folder / "file").write_bytes(b"")
    yield folder / "file" / "run.ckpt", NotADirectoryError
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
        yield folder / "pipe", OSError


def test_that_the_file_cannot_be_written_is_known_before_the_first_step(tmp_path):
    owner = trainer()
    before = state(owner)
    for path, error in unwritable(tmp_path):
        names = sorted(os.listdir(tmp_path))
        for call in (
            lambda path=path: owner.fit(X, Y, callbacks=[fb.Checkpoint(path)]),
            lambda path=path: owner.save(path),
            lambda path=path: owner.network.save(path),
        ):
            with pytest.raises(error):
                call()
        assert sorted(os.listdir(tmp_path)) == names
    assert state(owner) == before


class Reading:
    """Reads the file when an epoch has ended and all have seen it."""

    def __init__(self, path):
        self._path, self.found = path, []

    def on_epoch_end(self, trainer, history):
        pass

    def on_checkpoint(self, trainer, history):
        epochs = fb.Trainer.load(self._path).history.epochs if self._path.exists() else None
        self.found.append(epochs)


def test_every_so_many_epochs_and_at_the_end(tmp_path):
    path = tmp_path / "run.ckpt"
    owner, reading = trainer(), Reading(path)
    owner.fit(X, Y, 5, callbacks=[fb.Checkpoint(path, every=3), reading])
    assert reading.found == [None, None, 3, 3, 5]
    owner.fit(X, Y, 2, callbacks=[fb.Checkpoint(path, every=3), reading])
    assert reading.found[5:] == [6, 7]


def test_the_best_epochs_alone(tmp_path):
    path = tmp_path / "run.ckpt"
    path.write_text("of another run")
    owner, reading = trainer(optimizer=fb.SGD(0.5, momentum=0.9)), Reading(path)
    for epochs in (8, 1, 3):
        callbacks = [fb.Checkpoint(path, best="val_loss"), reading]
        owner.fit(X, Y, epochs, VALIDATION, callbacks)
    losses = owner.history["val_loss"]
    best = [1 + int(np.argmin(losses[: n + 1])) for n in range(12)]
    assert reading.found == best
    assert 2 < len(set(best)) < 12
    assert fb.Trainer.load(path).history["val_loss"][-1] == min(losses)


@pytest.mark.parametrize("options", [{"every": 0}, {"mode": 1, "best": "loss"}, {"best": 3}])
def test_options_out_of_range(options, tmp_path):
    with pytest.raises(errors.ConfigError, match=f"{next(iter(options))}: got"):
        fb.Checkpoint(tmp_path / "run.ckpt", **options)


def test_the_best_on_validation_data_needs_some(tmp_path):
    callback = fb.Checkpoint(tmp_path / "run.ckpt", best="val_loss")
    with pytest.raises(errors.ConfigError, match="best: got 'val_loss' without validation_data"):
        trainer().fit(X, Y, callbacks=[callback])


RUN = """
import os, signal, sys
from pathlib import Path
from training import classes, trainer, parameters
import fastbp as fb

path, kill_at = Path(sys.argv[1]), int(sys.argv[2])
x, y = classes()
EPOCHS = 40

class Killed:
    def on_epoch_end(self, trainer, history):
        if history.epochs == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

if path.exists():
    owner = fb.Trainer.load(path)
else:
    layers = [fb.Dense(9, "relu", dropout=0.4), fb.Dense(3, "softmax")]
    rate = fb.ReduceOnPlateau(0.05, patience=1)
    owner = trainer(fb.Network(5, layers, seed=2), optimizer=fb.Adam(rate))
stop = fb.EarlyStopping(5, min_delta=0.01)
best = fb.Checkpoint(f"{path}.best", best="val_loss")
callbacks = [fb.Checkpoint(path, every=2), best, stop, Killed()]
history = owner.fit(x, y, EPOCHS - owner.history.epochs, classes(30, seed=1), callbacks)
best = fb.load(f"{path}.best")
print(parameters(owner.network), parameters(best), owner.n_steps, history.stopped,
      stop.best_epoch, owner.optimizer.progress, history["val_loss"])
"""


def run(path, kill_at):
    command = [sys.executable, "-c", RUN, str(path), str(kill_at)]
    helpers = os.path.join(os.path.dirname(__file__), "..", "helpers")
    roots = [os.path.dirname(os.path.dirname(fb.__file__)), helpers]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(roots)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_run_that_is_gone_on_with_equals_one_that_is_not(tmp_path):
    whole = run(tmp_path / "whole", 0)
    assert "no better than" in whole.stdout, whole.stderr
    path = tmp_path / "killed"
    for kill_at in (3, 6, 7):
        assert run(path, kill_at).returncode == -signal.SIGKILL
    assert fb.Trainer.load(path).history.epochs == 6
    assert run(path, 0).stdout == whole.stdout
