"""``fastbp train``: what is learnt from which rows, how it is scored, and the files it leaves."""

from __future__ import annotations

import gzip
import io
import re

import numpy as np
import pytest
from commands import QUICK
from idx import idx

import fastbp as fb
from fastbp.cli import main
from fastbp.datasets import load_digits
from fastbp.tables import Table, TableModel


def accuracies(output):
    """The accuracies of training, test and baseline."""
    found = re.search(r"^accuracy +([\d.]+)% +([\d.]+)% +([\d.]+)%$", output, re.MULTILINE)
    return [float(share) for share in found.groups()]


class TestArrays:
    def test_digits(self, run, here):
        output = run("train", "digits", "--epochs", 15)
        assert "1438 training and 359 test rows, 64 features, 10 classes" in output
        _, test, baseline = accuracies(output)
        assert test >= 95 > 15 > baseline
        # The saved model takes what load_digits gives.
        x, y = load_digits()
        network = fb.load(here / "digits.safetensors")
        assert (network.predict_classes(x) == y).mean() > 0.97

    def test_without_pandas(self, run, here, monkeypatch):
        import sys

        for name in ("pandas", "pyarrow", "sklearn", "scipy"):
            monkeypatch.setitem(sys.modules, name, None)  # its import fails
        run("train", "digits", "--epochs", 1, "--hidden", 8)
        assert run("predict", "digits.safetensors", "digits").startswith("prediction\n")
        assert "accuracy" in run("evaluate", "digits.safetensors", "digits")
        assert "64 inputs" in run("info", "digits.safetensors")

    def test_options_reach_the_network(self, run, here):
        options = ["--hidden", "7,5", "--activation", "tanh", "--epochs", 1, "--out", "m.st"]
        run("train", "digits", "--quiet", "--batch-size", 100, "--threads", 1, *options)
        network = fb.load(here / "m.st")
        layers = [(layer.units, layer.activation) for layer in network.layers]
        assert layers == [(7, "tanh"), (5, "tanh"), (10, "softmax")]

    def test_a_seed_gives_the_same_network(self, train, here):
        for seed, name in ((3, "a"), (3, "b"), (4, "c")):
            train("digits", "--epochs", 1, "--seed", seed, "--out", name)
        a, b, c = (fb.load(here / name).layers[0].weight for name in "abc")
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)

    @pytest.mark.parametrize(
        ("x", "y", "kind"),
        [
            (np.eye(8, dtype=np.uint8).reshape(8, 2, 4), np.arange(8) % 2, "8 features, 2 classes"),
            (np.eye(8), np.array(list("abcdabcd")), "8 features, 4 classes"),
            (np.eye(8), np.linspace(0, 1, 8), "8 features, regression"),
            (np.eye(8), np.ones((8, 3)) * np.arange(3), "8 features, regression"),
        ],
    )
    def test_npz(self, train, here, x, y, kind):
        np.savez(here / "data.npz", x=x, y=y)
        assert kind in train("data.npz")
        assert fb.load(here / "data.safetensors").n_inputs == 8

    def test_mnist_has_its_own_test_part(self, run, train, here, monkeypatch, rng):
        for part, n in (("train", 40), ("t10k", 20)):
            images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            (here / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
            labels = np.arange(n, dtype=np.uint8) % 10
            (here / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
        monkeypatch.setenv("FASTBP_DATA", str(here))
        output = train("mnist")
        assert "mnist: 40 training and 20 test rows, 784 features, 10 classes" in output
        assert len(run("predict", "mnist.safetensors", "mnist").splitlines()) == 21


class TestTables:
    def test_classes(self, train, flowers, here):
        output = train(flowers, "--epochs", 12)
        assert "48 training and 12 test rows" in output
        train_share, test, baseline = accuracies(output)
        assert min(train_share, test) > 90 > 40 > baseline
        assert "'kind': 3 classes, for they are text" in output
        model = TableModel.load(here / "flowers.safetensors")
        assert model.target.classes == ("007", "lily, white", "tulip")
        assert [d.kind for d in model.columns.decisions if d.name == "id"] == ["identifier"]

    def test_a_quantity(self, train, line, here):
        output = train(line, "--target", 0, "--epochs", 12)
        test, baseline = re.search(r"^RMSE +\S+ +(\S+) +(\S+)$", output, re.MULTILINE).groups()
        assert float(test) < float(baseline) / 2

    def test_the_decisions_come_before_training(self, flowers, capsys):
        assert main(["train", str(flowers), "--epochs", "1"]) == 0
        output = capsys.readouterr().out
        before, after = output.split("confusion")
        for name, kind in (("length", "number"), ("colour", "boolean"), ("day", "date")):
            assert re.search(rf"^{name} +{kind} ", before, re.MULTILINE)
        assert "category" not in after

    def test_decisions_of_the_user(self, train, flowers, here):
        train(flowers, "--drop", "day,id", "--categorical", "colour", "--numeric", "length")
        kinds = {d.name: d.kind for d in TableModel.load("flowers.safetensors").columns.decisions}
        assert kinds == {
            "id": "dropped", "length": "number", "width": "number", "colour": "category",
            "day": "dropped",
        }  # fmt: skip
        train(flowers, "--features", "length", "--features", "day", "--date", "day", "--target", 5)
        assert TableModel.load("flowers.safetensors").columns.inputs == ("length", "day")

    def test_how_a_file_is_read(self, train, here):
        pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        rows = [
            f"{i % 7},5;{'none' if i % 9 == 0 else i % 5};{'ä' if i % 2 else 'ö'}"
            for i in range(40)
        ]
        (here / "a.txt").write_bytes("\n".join(rows).encode("latin-1"))
        options = ["--no-header", "--separator", ";", "--decimal", "comma", "--missing", "none"]
        train("a.txt", *options, "--encoding", "latin-1")
        model = TableModel.load("a.safetensors")
        assert model.target.classes == ("ä", "ö")
        assert model.record["missing"] == ["none"]
        assert not model.record["header"]

    def test_standard_input_and_packed_files(self, train, flowers, here, monkeypatch):
        (here / "packed.csv.gz").write_bytes(gzip.compress(flowers.read_bytes()))
        train("packed.csv.gz")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(flowers.read_bytes())))
        train("-")
        one, other = (TableModel.load(f"{name}.safetensors") for name in ("packed", "model"))
        assert np.array_equal(one.networks[0].parameters, other.networks[0].parameters)

    def test_rows_without_a_target_are_counted(self, train, flowers):
        flowers.write_text(flowers.read_text().replace(",tulip", ",", 4))
        assert "4 of 60 rows of" in train(flowers)

    def test_a_test_file(self, train, flowers, here):
        lines = flowers.read_text().splitlines()
        (here / "test.csv").write_text("\n".join([*lines[:10], lines[10].replace("tulip", "weed")]))
        (here / "train.csv").write_text("\n".join([lines[0], *lines[10:]]))
        assert "51 training and 10 test rows" in train("train.csv", "--test", "test.csv")

    def test_the_latest_rows(self, train, flowers, here):
        output = train(flowers, "--time-column", "day", "--test-fraction", 0.25)
        assert "45 training" not in output
        assert "the test rows are the latest by 'day'" in output
        assert "36 training and 15 test rows" in output
        # The same rows in another order are the same parts.
        lines = flowers.read_text().splitlines()
        (here / "turned.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
        again = train("turned.csv", "--time-column", "day", "--test-fraction", 0.25)
        assert "36 training and 15 test rows" in again

    def test_folds(self, train, flowers):
        output = train(flowers, "--folds", 3)
        assert "60 training rows" in output
        mean, spread = re.search(r"^  accuracy +(\S+) \+- (\S+)$", output, re.MULTILINE).groups()
        assert 0 < float(mean) <= 1
        assert 0 <= float(spread) < 1
        assert TableModel.load("flowers.safetensors").record["rows"] == 60

    def test_an_ensemble(self, train, flowers):
        train(flowers, "--ensemble", 3, "--patience", 2)
        assert len(TableModel.load("flowers.safetensors").networks) == 3

    def test_the_record(self, train, run, flowers):
        output = train(flowers, "--loss", "cross_entropy", "--optimizer", "adam", "--l2", 1e-4)
        record = TableModel.load("flowers.safetensors").record
        assert record["options"]["optimizer"] == "adam"
        assert record["versions"]["fastbp"] == fb.__version__
        shown = accuracies(output)
        assert f"{record['scores']['test']['values']['accuracy']:.1%}" == f"{shown[1]}%"


class TestFiles:
    def test_a_plot(self, train, flowers, here):
        pytest.importorskip("matplotlib")
        train(flowers, "--plot", "curves.png")
        assert (here / "curves.png").read_bytes().startswith(b"\x89PNG")
        train(flowers, "--plot", "curves.svg", "--ensemble", 2)
        assert b"<svg" in (here / "curves.svg").read_bytes()
        train(flowers, "--plot", "curves.png")  # replaced

    def test_a_report(self, train, flowers, here):
        pytest.importorskip("matplotlib")
        train(flowers, "--report", "flowers.html")
        page = (here / "flowers.html").read_text()
        assert page.lower().startswith("<!doctype html")
        assert "fastbp train" in page

    def test_a_checkpoint_goes_on_to_the_same_bits(self, train, flowers, here):
        train(flowers, "--out", "a", "--checkpoint", "run")
        before = (here / "run").read_bytes()
        train(flowers, "--out", "b", "--resume", "run", "--checkpoint", "run")
        a, b = (TableModel.load(name).networks[0].parameters for name in "ab")
        assert np.array_equal(a, b)
        assert fb.Trainer.load("run").history.epochs == 4
        assert (here / "run").read_bytes() == before

    def test_what_may_be_replaced(self, train, run, fail, flowers, here):
        train(flowers, "--out", "m")
        train(flowers, "--out", "m")
        (here / "notes.txt").write_text("mine")
        message = fail("train", flowers, "--out", "notes.txt")
        assert "exists and is not a model of fastbp" in message
        assert "--force" in message
        for option in ("--plot", "--report"):
            (here / "notes.png").write_text("mine")
            assert "--force" in fail("train", flowers, option, "notes.png")
        assert "--force" in fail("train", flowers, "--checkpoint", "notes.txt")
        assert (here / "notes.txt").read_text() == "mine"
        train(flowers, "--out", "notes.txt", "--force")
        TableModel.load("notes.txt")


class TestProgress:
    def test_a_line_for_each_tenth_where_there_is_no_terminal(self, capsys, flowers):
        assert main(["train", str(flowers), "--epochs", "20", "--ensemble", "2"]) == 0
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 20
        assert re.fullmatch(
            r"network 1/2, epoch 2/20: loss \S+, accuracy \S+, val_loss \S+, val_accuracy \S+",
            lines[0],
        )
        assert lines[-1].startswith("network 2/2, epoch 20/20: ")

    def test_a_bar_on_a_terminal(self, capsys, monkeypatch):
        monkeypatch.setattr("fastbp.cli.train.draws_bar", lambda: True)
        assert main(["train", "digits", "--epochs", "2", "--hidden", "8"]) == 0
        error = capsys.readouterr().err
        for text in ("epoch 2/2", "loss=", "accuracy="):
            assert text in error

    def test_quiet(self, capsys, train, flowers):
        train(flowers)
        assert capsys.readouterr().err == ""


CONFIG = """
target = "kind"
drop = ["id", "day"]
hidden = [12, 6]
learning-rate = 0.02
epochs = 3
header = true
quiet = true
seed = 5
"""


class TestConfig:
    def test_options_of_a_file(self, run, flowers, here):
        (here / "c.toml").write_text(CONFIG)
        run("train", flowers, "--config", "c.toml")
        words = ["--target", "kind", "--drop", "id,day", "--hidden", "12,6", "--epochs", 3]
        run("train", flowers, *words, "--learning-rate", 0.02, "--seed", 5, "--out", "other")
        one, other = TableModel.load("flowers.safetensors"), TableModel.load("other")
        assert np.array_equal(one.networks[0].parameters, other.networks[0].parameters)

    def test_the_command_line_wins(self, run, flowers, here):
        (here / "c.toml").write_text(CONFIG)
        run("train", flowers, "--config", "c.toml", "--epochs", 2, "--drop", 0, "--no-header",
            "--target", 5)  # fmt: skip
        model = TableModel.load("flowers.safetensors")
        assert model.histories[0].epochs == 2
        assert not model.record["header"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("epoch = 3", "got the key 'epoch', wanted a long option without its dashes; did you "
             "mean 'epochs'?"),
            ("learning_rate = 3", "did you mean 'learning-rate'?"),
            ("config = 'c.toml'", "got the key 'config'"),
            ("[train]\nepochs = 3", "got the key 'train'"),
            ("epochs = 0", "argument --epochs: '0' is not a positive integer"),
            ("epochs = true", "epochs: got True, wanted text, a number or a list"),
            ("quiet = 1", "quiet: got 1, wanted true or false"),
            ("drop = [['a']]", "drop: got [['a']]"),
            ("task = 'both'", "argument --task: invalid choice: 'both'"),
            ("epochs 3", "is no TOML"),
            ("epochs = 3\nepochs = 4", "is no TOML"),
        ],
    )  # fmt: skip
    def test_keys_that_are_no_options(self, fail, flowers, here, text, message):
        (here / "c.toml").write_text(text)
        assert message in fail("train", flowers, "--config", "c.toml")

    def test_a_file_that_is_not_there(self, fail, flowers):
        assert "c.toml: No such file" in fail("train", flowers, "--config", "c.toml")


def test_table_read_is_what_python_has(train, flowers):
    """The command is the Python twin with the command's split."""
    train(flowers, "--folds", 2)
    model = TableModel("kind", "classification", epochs=4, hidden=[16], batch_size=8,
                       learning_rate=0.05, dropout=0.0)  # fmt: skip
    model.fit(Table.read(flowers))
    again = TableModel.load("flowers.safetensors")
    assert np.array_equal(again.networks[0].parameters, model.networks[0].parameters)
    assert QUICK[1] == 4
