"""Ctrl-C while ``fastbp train`` trains: once saves what there is, twice leaves at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

import fastbp as fb
from fastbp.cli import main
from fastbp.tables import TableModel

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture
def interrupted(monkeypatch, capsys):
    """Run a training that gets Ctrl-C after an epoch; return status, stdout and stderr."""

    def command(*arguments, at=3, times=1):
        class Interrupt:
            def __init__(self, model, networks=1):
                self.left = times

            def on_epoch_recorded(self, trainer, history):
                if history.epochs >= at and self.left:
                    self.left -= 1
                    signal.raise_signal(signal.SIGINT)
                    if self.left:
                        self.left -= 1
                        signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr("fastbp.cli.train.Lines", Interrupt)
        before = signal.getsignal(signal.SIGINT)
        status = main(["train", *map(str, arguments), "--hidden", "16", "--batch-size", "8"])
        assert signal.getsignal(signal.SIGINT) is before
        return status, *capsys.readouterr()

    return command


def test_once_saves_what_there_is_and_scores_it(interrupted, flowers):
    status, output, error = interrupted(flowers, "--epochs", 1000)
    assert status == 130
    assert "stops after this step" in error
    assert "accuracy" in output
    assert "interrupted: this is the model of the epochs that were done" in output
    model = TableModel.load("flowers.safetensors")
    assert [history.epochs for history in model.histories] == [3]
    assert model.histories[0].stopped == "Ctrl-C"


def test_once_in_digits_and_in_an_ensemble(interrupted, flowers):
    assert interrupted("digits", "--epochs", 1000, at=1)[0] == 130
    assert fb.load("digits.safetensors").n_inputs == 64
    status, _, _ = interrupted(flowers, "--epochs", 1000, "--ensemble", 3)
    assert status == 130
    assert len(TableModel.load("flowers.safetensors").networks) == 1


def test_once_in_a_fold(interrupted, flowers):
    status, output, _ = interrupted(flowers, "--epochs", 1000, "--folds", 3)
    assert status == 130
    assert "interrupted in fold 1 of 3: the model is that of this fold" in output
    assert TableModel.load("flowers.safetensors").record["rows"] == 40


def test_twice_leaves_at_once(interrupted, flowers, here):
    status, output, error = interrupted(flowers, "--epochs", 1000, times=2)
    assert status == 130
    assert error.endswith("fastbp: interrupted\n")
    assert "accuracy" not in output
    assert not (here / "flowers.safetensors").exists()


def test_a_checkpoint_of_an_interrupted_run_goes_on_to_the_same_bits(interrupted, run, flowers):
    words = ["--epochs", 6, "--checkpoint", "run"]
    assert interrupted(flowers, *words, "--quiet", at=99)[0] == 0
    whole = TableModel.load("flowers.safetensors").networks[0].parameters
    assert interrupted(flowers, *words)[0] == 130
    assert fb.Trainer.load("run").history.epochs < 6
    assert interrupted(flowers, *words, "--resume", "run", at=99)[0] == 0
    assert (TableModel.load("flowers.safetensors").networks[0].parameters == whole).all()


@pytest.mark.parametrize("times", [1, 2])
def test_a_process(here, times):
    words = ["train", "digits", "--epochs", "1000000", "--hidden", "500,500", "--checkpoint", "run"]
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "fastbp", *words]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        while not (here / "run").exists() and process.poll() is None:  # it trains
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        lines = [process.stderr.readline(), process.stderr.readline()]
        if times == 2:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stops after this step" in "".join(lines)
    assert (here / "digits.safetensors").exists() == (times == 1)
    assert ("accuracy" in out) == (times == 1)
    assert "Traceback" not in err
