"""What is done with a saved model: ``fastbp predict``, ``evaluate``, ``info`` and ``export``."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from commands import QUICK

import fastbp as fb
from fastbp.cli import main, selfcheck
from fastbp.datasets import load_digits
from fastbp.engine import runtime
from fastbp.tables import Table, TableModel


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a table of classes, one of values without names, and a model of each."""
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(7)
    lines = ["id,length,colour,kind"]
    for i in range(45):
        label = ("007", "tulip", '"lily, white"')[i % 3]
        colour = ("red", "blue")[rng.integers(2)]
        lines.append(f"f{i},{rng.normal(10 * (i % 3), 1):.3f},{colour},{label}")
    (folder / "flowers.csv").write_text("\n".join(lines))
    x = rng.normal((50, -3), (10, 0.1), (60, 2))
    y = 1000 + 3 * x[:, 0] - 200 * x[:, 1]
    np.savetxt(folder / "line.csv", np.column_stack([y, x]), delimiter=";")
    for name, target in (("flowers", "kind"), ("line", "0")):
        out = ["--out", folder / f"{name}.safetensors", "--target", target, "--quiet"]
        words = ["train", folder / f"{name}.csv", *QUICK, "--ensemble", 2, *out]
        assert main([str(word) for word in words]) == 0
    return folder


@pytest.fixture
def saved(models, here):
    """A copy of it in the folder of the test."""
    shutil.copytree(models, here, dirs_exist_ok=True)
    return here


def rows(output):
    return list(csv.reader(io.StringIO(output)))


class TestPredict:
    def test_classes_are_written_as_in_the_file(self, run, saved):
        head, *found = rows(run("predict", "flowers.safetensors", "flowers.csv"))
        model = TableModel.load("flowers.safetensors")
        assert head == ["prediction"]
        wanted = model.predict(Table.read("flowers.csv"))
        assert [label for (label,) in found] == wanted.tolist()
        assert {"007", "lily, white"} <= set(wanted)

    def test_probabilities_and_ids(self, run, saved):
        head, *found = rows(
            run("predict", "flowers.safetensors", "flowers.csv", "--ids", "id", "--proba")
        )
        assert head == ["id", "prediction", "P(007)", "P(lily, white)", "P(tulip)"]
        shares = TableModel.load("flowers.safetensors").predict_proba(Table.read("flowers.csv"))
        assert [row[0] for row in found] == [f"f{i}" for i in range(45)]
        assert np.array_equal(np.array([row[2:] for row in found], float), shares)

    def test_append_and_out(self, run, saved):
        text = (
            (saved / "flowers.csv").read_text().replace("colour", "prediction").replace("red", "")
        )
        (saved / "new.csv").write_text(text)
        (saved / "both.csv").write_text("old")
        output = run("predict", "line.safetensors", "line.csv", "--append", "--out", "both.csv")
        assert output == ""
        head, *found = rows((saved / "both.csv").read_text())
        assert head == ["0", "1", "2", "prediction"]
        assert np.array_equal(np.array([row[:3] for row in found], float),
                              np.loadtxt("line.csv", delimiter=";"))  # fmt: skip

    def test_a_name_that_is_taken_and_missing_cells(self, run, saved):
        text = (saved / "flowers.csv").read_text().replace("kind", "prediction")
        (saved / "new.csv").write_text(text.replace(",tulip", ","))
        head, *found = rows(run("predict", "flowers.safetensors", "new.csv", "--append"))
        assert head == ["id", "length", "colour", "prediction", "prediction.2"]
        assert found[1][3] == ""
        assert all(row[4] for row in found)

    def test_columns_by_name_and_from_stdin(self, run, saved, monkeypatch):
        wanted = run("predict", "flowers.safetensors", "flowers.csv")
        turned = "\n".join(
            f"{colour};x;{length}"
            for _, length, colour, _ in rows((saved / "flowers.csv").read_text())
        ).replace("x", "note", 1)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(turned.encode())))
        assert run("predict", "flowers.safetensors", "-") == wanted

    def test_values_with_and_without_the_target(self, run, saved):
        output = run("predict", "line.safetensors", "line.csv")
        table = np.loadtxt("line.csv", delimiter=";")
        np.savetxt("x.csv", table[:, 1:], delimiter=",")
        assert run("predict", "line.safetensors", "x.csv") == output
        np.savez("x.npz", table[:, 1:])
        found, wanted = (
            np.array(text.split()[1:], float)
            for text in (run("predict", "line.safetensors", "x.npz"), output)
        )
        assert np.allclose(found, wanted, rtol=1e-5)

    def test_digits_and_a_plain_network(self, run, saved):
        network = fb.Network(64, [fb.Dense(10, "softmax")], seed=0)
        network.save("plain")
        x, _ = load_digits()
        _, *found = run("predict", "plain", "digits").splitlines()
        assert found == [str(label) for label in network.predict_classes(x)]
        head, first, *_ = rows(run("predict", "plain", "digits", "--proba"))
        assert head[:3] == ["prediction", "P(0)", "P(1)"]
        assert np.allclose(np.array(first[1:], float), network.predict(x[:1])[0])

    def test_a_plain_network_of_named_columns(self, run, saved):
        network = fb.Network(2, [fb.Dense(1)], "float64", seed=0)
        network.columns = ["b", "a"]
        network.save("plain")
        (saved / "t.csv").write_text("a,note,b\n1,x,2\n3,y,4\n")
        _, *found = run("predict", "plain", "t.csv").splitlines()
        assert np.allclose(np.array(found, float), network.predict([[2, 1], [4, 3]])[:, 0])

    def test_several_outputs(self, run, here):
        fb.Network(3, [fb.Dense(2)], "float64", seed=0).save(here / "m.safetensors")
        np.savez(here / "x.npz", X=np.eye(3))
        head, *found = rows(run("predict", "m.safetensors", "x.npz"))
        assert head == ["prediction 1", "prediction 2"]
        values = np.array(found, float)
        assert np.array_equal(values, fb.load(here / "m.safetensors").predict(np.eye(3)))

    def test_a_closed_pipe_is_no_error(self, saved):
        fb.Network(64, [fb.Dense(10, "softmax")], seed=0).save("plain")
        command = [sys.executable, "-m", "fastbp", "predict", "plain", "digits"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait() == 0


class TestEvaluate:
    def test_a_table(self, run, saved):
        text = (saved / "flowers.csv").read_text()
        (saved / "new.csv").write_text(text.replace(",tulip", ",", 3).replace(",007", ",weed", 1))
        output = run("evaluate", "flowers.safetensors", "new.csv")
        assert "new.csv: 45 rows, 3 without 'kind': left out" in output
        assert "Training did not have the label of one row: counted as wrong." in output
        share = float(re.search(r"^accuracy +([\d.]+)%", output, re.MULTILINE)[1])
        scores = TableModel.load("flowers.safetensors").evaluate(Table.read("new.csv"))
        assert f"{dict(scores.items())['accuracy']:.1%}" == f"{share}%"

    def test_values_of_a_table(self, run, saved):
        output = run("evaluate", "line.safetensors", "line.csv")
        assert re.search(r"^RMSE ", output, re.MULTILINE)

    def test_networks(self, run, saved):
        np.savez("data.npz", x=np.eye(8), y=np.array(list("abcdabcd")))
        run("train", "data.npz", "--quiet", *QUICK)
        assert "data.npz: 8 rows" in run("evaluate", "data.safetensors", "data.npz")
        assert "RMSE" not in run("evaluate", "data.safetensors", "data.npz")
        network = fb.Network(2, [fb.Dense(1)], seed=0)
        network.columns = ["a", "b"]
        network.save("plain")
        (saved / "t.csv").write_text("a,y,b\n1,1,2\n3,7,4\n")
        assert "RMSE" in run("evaluate", "plain", "t.csv")
        fb.Network(64, [fb.Dense(10, "softmax")], seed=0).save("digits")
        assert "digits: 1797 rows" in run("evaluate", "digits", "digits")


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
        message = fail("info", "--check", status=1)
        assert "float64" in message
        assert "float32" not in message
        assert "-ffast-math" in message

    def test_a_model_of_a_table(self, run, saved):
        output = run("info", "flowers.safetensors")
        for text in (
            "flowers.safetensors: ", " kB", "2 networks of this form", "softmax", "target: kind",
            "classes: 007, lily, white, tulip", "trained on 36 rows, 7 of them for the best epoch",
            "seed: 0", "epochs: 4, 4", "learning_rate 0.05", f"fastbp {fb.__version__}",
            "test: accuracy", "training: accuracy",
        ):  # fmt: skip
            assert text in output, text
        assert re.search(r"^length +number ", output, re.MULTILINE)
        assert re.search(r"^id +identifier ", output, re.MULTILINE)

    def test_a_network(self, run, here):
        run("train", "digits", "--quiet", *QUICK)
        output = run("info", "digits.safetensors")
        for text in ("64 inputs", "64 x 16", "softmax", "trained on 1438 rows", "epochs: 4"):
            assert text in output
        network = fb.Network(2, [fb.Dense(2, "softmax")], seed=0)
        network.classes, network.columns = ["rose", "lily"], ["length", "width"]
        network.metadata = {"fastbp.record": "mine"}
        network.save("plain")
        output = run("info", "plain")
        assert "classes: rose, lily\nfeatures: length, width" in output


def by_numpy(described, arrays, x):
    """The mean outputs of exported networks for what the columns give, in NumPy alone."""
    functions = {
        "silu": lambda z: z / (1 + np.exp(-z)),
        "relu": lambda z: np.maximum(z, 0),
        "linear": lambda z: z,
        "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
    }
    total = 0.0
    for i, network in enumerate(described["networks"]):
        h = x
        for j, layer in enumerate(network["layers"]):
            weight, bias = (np.array(arrays[f"networks.{i}.layers.{j}.{name}"], float)
                            for name in ("weight", "bias"))  # fmt: skip
            h = functions[layer["activation"]](h @ weight + bias)
        total = total + h
    return total / len(described["networks"])


class TestExport:
    @pytest.mark.parametrize("form", ["npz", "json"])
    def test_numpy_alone_predicts_from_it(self, run, saved, form):
        assert run("export", "flowers.safetensors", "--to", form) == f"written to flowers.{form}\n"
        if form == "npz":
            with np.load("flowers.npz", allow_pickle=False) as file:
                arrays = dict(file)
            described = json.loads(str(arrays.pop("description")))
        else:
            whole = json.loads((saved / "flowers.json").read_text())
            described, arrays = whole["description"], whole["arrays"]
        model, table = TableModel.load("flowers.safetensors"), Table.read("flowers.csv")
        shares = by_numpy(described, arrays, model.columns.transform(table))
        assert np.allclose(shares, model.predict_proba(table), atol=1e-6)
        assert described["target"]["classes"] == list(model.target.classes)
        assert [column["name"] for column in described["columns"]["columns"]] == [
            "id",
            "length",
            "colour",
        ]

    def test_a_network(self, run, here):
        network = fb.Network(3, [fb.Dense(4, "relu"), fb.Dense(2)], seed=0)
        network.save("m")
        run("export", "m", "--to", "json", "--out", "out.json")
        whole = json.loads((here / "out.json").read_text())
        x = np.arange(6.0).reshape(2, 3)
        found = by_numpy(whole["description"], whole["arrays"], x)
        assert np.allclose(found, network.predict(x), rtol=1e-5)
