"""The command ``fastbp``, called in-process and, where the process matters, as a user would."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from idx import idx

import fastbp as fb
from fastbp.cli import main, selfcheck
from fastbp.datasets import load_digits, train_test_split
from fastbp.engine import runtime


@pytest.fixture
def flowers(here, rng):
    """A CSV file of three classes in three places, with a header."""
    lines = ["length,width,kind"]
    for i in range(150):
        kind = i % 3
        length, width = rng.normal((1000 * kind, 0.001 * kind**2), (100, 0.0001))
        lines.append(f"{length},{width},{('rose', 'tulip', 'lily, white')[kind]!r}")
    path = here / "flowers.csv"
    path.write_text("\n".join(lines).replace("'", '"'))
    return path


@pytest.fixture
def line(here, rng):
    """A CSV file of a linear function of two columns, without a header."""
    x = rng.normal((50, -3), (10, 0.1), (300, 2))
    y = 1000 + 3 * x[:, 0] - 200 * x[:, 1]
    path = here / "line.csv"
    np.savetxt(path, np.column_stack([y, x]), delimiter=";")
    return path


class TestTrain:
    def test_digits(self, run, here):
        output = run("train", "digits")
        assert "1438 training and 359 test rows, 64 features, 10 classes" in output
        last = re.fullmatch(r"test accuracy (\d+\.\d)%, \d+\.\d s", output.splitlines()[-1])
        assert float(last[1]) >= 97
        # The saved model takes what load_digits gives and has the accuracy that was printed.
        x, y = load_digits()
        _, x_test, _, y_test = train_test_split(x, y, 0.2, seed=0)
        network = fb.load(here / "digits.safetensors")
        accuracy = (network.predict(x_test).argmax(axis=1) == y_test).mean()
        assert f"{accuracy:.1%}" == f"{last[1]}%"

    def test_options_reach_the_network(self, run, here):
        options = ["--hidden", "7,5", "--activation", "tanh", "--epochs", 1, "--out", "m.st"]
        run("train", "digits", "--quiet", "--batch-size", 100, "--threads", 1, *options)
        network = fb.load(here / "m.st")
        layers = [(layer.units, layer.activation) for layer in network.layers]
        assert layers == [(7, "tanh"), (5, "tanh"), (10, "softmax")]

    def test_a_seed_gives_the_same_network(self, run, here):
        for seed, name in ((3, "a"), (3, "b"), (4, "c")):
            run("train", "digits", "--quiet", "--epochs", 1, "--seed", seed, "--out", name)
        a, b, c = (fb.load(here / name).layers[0].weight for name in "abc")
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)

    def test_csv_classes(self, run, flowers):
        output = run("train", "flowers.csv", "--quiet")
        assert "120 training and 30 test rows, 2 features, 3 classes" in output
        assert re.search(r"^test accuracy 100\.0%, ", output, re.MULTILINE)

    def test_csv_regression(self, run, line):
        output = run("train", line, "--target", 0, "--quiet")
        assert "2 features, regression" in output
        mse = float(re.search(r"^test mse (\S+), ", output, re.MULTILINE)[1])
        assert mse < 0.02 * (30**2 + 20**2)

    def test_csv_target_by_name_and_task(self, run, flowers):
        # Lengths are whole numbers here, so that --task decides.
        text = re.sub(r"^(-?\d+)\.\d+", r"\1", flowers.read_text(), flags=re.MULTILINE)
        flowers.write_text(re.sub(r',"[^"]*"', "", text).replace(",kind", ""))
        output = run("train", flowers, "--target", "length", "--quiet", "--task", "regression")
        assert "1 features, regression" in output

    @pytest.mark.parametrize(
        ("x", "y", "kind"),
        [
            (np.eye(8, dtype=np.uint8).reshape(8, 2, 4), np.arange(8) % 2, "8 features, 2 classes"),
            (np.eye(8), np.array(list("abcdabcd")), "8 features, 4 classes"),
            (np.eye(8), np.linspace(0, 1, 8), "8 features, regression"),
            (np.eye(8), np.ones((8, 3)) * np.arange(3), "8 features, regression"),
        ],
    )
    def test_npz(self, run, here, x, y, kind):
        np.savez(here / "data.npz", x=x, y=y)
        assert kind in run("train", "data.npz", "--quiet", "--epochs", 2)
        assert (here / "data.safetensors").exists()

    def test_mnist_has_its_own_test_part(self, run, here, monkeypatch, rng):
        for part, n in (("train", 40), ("t10k", 20)):
            images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            (here / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
            labels = np.arange(n, dtype=np.uint8) % 10
            (here / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
        monkeypatch.setenv("FASTBP_DATA", str(here))
        output = run("train", "mnist", "--quiet", "--epochs", 1)
        assert "mnist: 40 training and 20 test rows, 784 features, 10 classes" in output
        assert len(run("predict", "mnist.safetensors", "mnist").splitlines()) == 20

    def test_progress_bar(self, run, capsys):
        assert main(["train", "digits", "--epochs", "2"]) == 0
        error = capsys.readouterr().err
        assert "epoch 2/2" in error
        assert "loss=" in error
        assert "accuracy=" in error


class TestPredict:
    def test_digits(self, run, here):
        run("train", "digits", "--quiet", "--epochs", 2)
        lines = run("predict", "digits.safetensors", "digits").splitlines()
        x, _ = load_digits()
        wanted = fb.load(here / "digits.safetensors").predict(x).argmax(axis=1)
        assert lines == [str(label) for label in wanted]

    def test_class_names_and_out(self, run, flowers, here):
        run("train", flowers, "--quiet")
        assert run("predict", "flowers.safetensors", flowers, "--out", "p.csv") == ""
        lines = (here / "p.csv").read_text().splitlines()
        assert len(lines) == 150
        assert lines[:3] == ["rose", "tulip", '"lily, white"']

    def test_classes_are_written_as_in_the_file(self, run, here):
        labels = ["007", "7", "7.0", "10"] * 10
        x = np.tile(np.eye(4), (10, 1))
        rows = [f"{','.join(map(str, row))},{label}" for row, label in zip(x, labels, strict=True)]
        (here / "agents.csv").write_text("\n".join(["a,b,c,d,kind", *rows]))
        run("train", "agents.csv", "--quiet", "--task", "classification")
        assert run("predict", "agents.safetensors", "agents.csv").split() == labels
        network = fb.load(here / "agents.safetensors")
        assert network.classes.tolist() == ["007", "7", "7.0", "10"]
        assert network.columns == tuple("abcd")

    def test_columns_by_name(self, run, flowers, here):
        run("train", flowers, "--quiet")
        wanted = run("predict", "flowers.safetensors", flowers)
        rows = [line.split(",")[:2] for line in flowers.read_text().splitlines()]
        turned = "\n".join(f"{width},0,{length}" for length, width in rows)
        (here / "turned.csv").write_text(turned.replace(",0,", ",note,", 1))
        assert run("predict", "flowers.safetensors", "turned.csv") == wanted

    def test_values_with_and_without_the_target(self, run, line, here):
        run("train", line, "--target", 0, "--quiet")
        output = run("predict", "line.safetensors", line)
        table = np.loadtxt(line, delimiter=";")
        assert np.array(output.split(), float) == pytest.approx(table[:, 0], rel=0.02)
        np.savetxt(here / "x.csv", table[:, 1:], delimiter=",")
        assert run("predict", "line.safetensors", "x.csv") == output
        np.savez(here / "x.npz", table[:, 1:])
        assert run("predict", "line.safetensors", "x.npz") == output

    def test_several_outputs(self, run, here):
        fb.Network(3, [fb.Dense(2)], "float64", seed=0).save(here / "m.safetensors")
        np.savez(here / "x.npz", X=np.eye(3))
        output = run("predict", "m.safetensors", "x.npz")
        values = np.array([line.split(",") for line in output.splitlines()], float)
        assert np.array_equal(values, fb.load(here / "m.safetensors").predict(np.eye(3)))

    def test_a_closed_pipe_is_no_error(self, run, here):
        run("train", "digits", "--quiet", "--epochs", 1)
        command = [sys.executable, "-m", "fastbp", "predict", "digits.safetensors", "digits"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait() == 0


class TestInfo:
    def test_configuration(self, run):
        assert fb.__version__ in run("info")

    def test_bits_of_this_build(self, run):
        output = run("info", "--check")
        sets = len(runtime.isas())
        assert output.count("the bits are right") >= 2 * 2 * sets
        assert "OTHER" not in output

    def test_other_bits_are_told(self, fail, monkeypatch):
        monkeypatch.setitem(selfcheck.EXPECTED, "float64", selfcheck.EXPECTED["float32"])
        message = fail("info", "--check")
        assert "float64" in message
        assert "float32" not in message
        assert "-ffast-math" in message

    def test_model(self, run, flowers):
        run("train", flowers, "--quiet", "--epochs", 1)
        output = run("info", "flowers.safetensors")
        for text in ("2 inputs", "2 x 128", "softmax", "classes: lily, white, rose, tulip"):
            assert text in output
        assert "features: length, width" in output


def test_python_m_fastbp():
    done = subprocess.run(
        [sys.executable, "-m", "fastbp", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"fastbp {fb.__version__}\n"
