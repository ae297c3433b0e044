"""What the command ``fastbp`` says when it cannot: one line, an exit status, no file."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

import fastbp as fb
from fastbp.cli import main
from fastbp.datasets import DIGITS


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("", "COMMAND"),
            ("fly", "invalid choice: 'fly'"),
            ("train", "DATASET"),
            ("train none.csv", "none.csv: No such file"),
            ("train none.npz", "none.npz: No such file"),
            ("train mnist", "FASTBP_DATA"),
            ("train digits --epochs 0", "'0' is not a positive integer"),
            ("train digits --batch-size -1", "'-1' is not a positive integer"),
            ("train digits --hidden 8,x", "'x' is not a positive integer"),
            ("train digits --folds 1", "'1' is less than 2"),
            ("train digits --seed -1", "'-1' is not an integer >= 0"),
            ("train digits --activation swish", "'swish'"),
            ("train digits --optimizer adm", "invalid choice: 'adm'"),
            ("train digits --loss mse2", "'mse2'"),
            ("train digits --learning-rate nan", "learning_rate: got nan"),
            ("train digits --momentum 1 --optimizer sgd", "momentum: got 1.0"),
            ("train digits --momentum 0.5", "momentum"),
            ("train digits --dropout 1", "dropout: got 1.0"),
            ("train digits --l2 -1", "l2: got -1.0"),
            ("train digits --test-fraction 1", "test_fraction: got 1.0"),
            ("train digits --test-fraction 0.5 --folds 3", "wanted one of them"),
            ("train digits --test x.npz --folds 3", "wanted one of them"),
            ("train digits --test x.csv", "wanted arrays, as digits is"),
            ("train digits --target 3", "--target: got '3' for digits, wanted it for a table only"),
            ("train digits --drop a", "--drop: got ['a'] for digits"),
            ("train digits --no-header --missing x", "--missing"),
            ("train digits --time-column t", "--time-column: got 't' for digits"),
            ("train digits --report r.html", "--report: got 'r.html' for digits"),
            ("train digits --ensemble 3", "--ensemble: got 3 for digits"),
            ("train digits --folds 3 --checkpoint c", "beside a checkpoint"),
            ("train digits --resume c", "c: No such file"),
            ("train digits --plot p.gif", "--plot: got p.gif, wanted a name with .png"),
            ("train digits --out no/folder/m", "folder that exists"),
            ("train digits --out .", "wanted a file"),
            ("train digits --out m --checkpoint ./m", "--checkpoint: got ./m, as --out"),
            ("train digits --checkpoint no/m", "--checkpoint: got no/m"),
            ("train - --config -", "-: No such file"),
            ("predict none.safetensors digits", "none.safetensors: No such file"),
            ("evaluate none.safetensors digits", "none.safetensors: No such file"),
            ("export none.safetensors --to npz", "none.safetensors: No such file"),
            ("export none.safetensors --to keras", "invalid choice: 'keras'"),
            ("export none.safetensors", "--to"),
            ("info none.safetensors", "none.safetensors: No such file"),
            ("bench --seconds 0", "--seconds: got 0.0"),
            ("bench --seconds nan", "--seconds: got nan"),
            ("demo --show 0", "'0' is not a positive integer"),
        ],
    )
    def test_one_line_and_status_2(self, fail, here, arguments, message):
        for word, library in (("none.csv", "pyarrow"), ("--report", "matplotlib")):
            if word in arguments:
                pytest.importorskip(library)
        assert message in fail(*arguments.split())
        assert list(here.iterdir()) == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("--target kid", "target: got no column 'kid', did you mean 'kind'"),
            ("--target 9", "target: got no column '9', wanted one of: id, length"),
            ("--drop lenght", "'length'"),
            ("--categorical widht,colour", "'width'"),
            ("--numeric colour", "colour"),
            ("--date colour", "colour"),
            ("--features kind", "which is the target"),
            ("--time-column dya", "--time-column: got no column 'dya', did you mean 'day'?"),
            ("--time-column colour", "--time-column: got 'colour', which holds neither dates"),
            ("--time-column day --folds 3", "wanted one of them"),
            ("--test none.csv", "none.csv: No such file"),
            ("--test flowers.csv --test-fraction 0.5", "wanted one of them"),
            ("--task regression", "wanted numbers for regression"),
            ("--folds 61", "--folds: got 61 for 60 rows"),
            ("--separator ;;", "separator: got ';;'"),
            ("--decimal x", "decimal: got 'x'"),
            ("--encoding utf-9", "utf-9"),
            ("--out flowers.csv", "--out: got flowers.csv, which is read too"),
            ("--plot ./flowers.csv", "--plot: got ./flowers.csv, which is read too"),
            ("--checkpoint flowers.csv", "--checkpoint: got flowers.csv, which is read too"),
            ("--report r.html --plot r.html", "--report: got r.html, as --plot"),
            ("--loss mes", "'mes'"),
        ],
    )
    def test_options_of_tables(self, fail, flowers, here, arguments, message):
        before = flowers.read_bytes()
        assert message in fail("train", "flowers.csv", *arguments.split())
        assert [path.name for path in here.iterdir()] == ["flowers.csv"]
        assert flowers.read_bytes() == before

    def test_divergence_is_a_failure(self, fail, line, here):
        message = fail("train", "line.csv", "--target", 0, "--learning-rate", "1e35", status=1)
        assert "diverged" in message
        assert not (here / "line.safetensors").exists()

    def test_data_that_does_not_fit(self, fail, here):
        pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        (here / "flowers.csv").write_text(
            "length,width,kind\n" + "1,2.5,rose\n3,4.5,tulip\n5,7.5,rose\n" * 5
        )
        assert main(["train", "flowers.csv", "--quiet", "--epochs", "1"]) == 0
        (here / "x.csv").write_text("length,depth\n1,2\n")
        assert "'width'" in fail("predict", "flowers.safetensors", "x.csv")
        (here / "y.csv").write_text("1,2,3,4\n5,6,7,8\n")
        assert "--header" in fail("predict", "flowers.safetensors", "y.csv")
        (here / "z.csv").write_text("length,width\n1,2\n3,wide\n")
        assert "'wide'" in fail("predict", "flowers.safetensors", "z.csv")
        assert "no column 'kind'" in fail("evaluate", "flowers.safetensors", "x.csv")
        assert "wanted a table with the column 'kind'" in fail(
            "evaluate", "flowers.safetensors", "digits"
        )
        assert "got 64 features" in fail("predict", "flowers.safetensors", "digits")
        assert "safetensors" in fail("info", "flowers.csv")
        (here / "w.csv").write_text("length,width\n1,2\n3,4\n")
        assert "did you mean 'width'" in fail(
            "predict", "flowers.safetensors", "w.csv", "--ids", "widht"
        )
        assert "wanted one" in fail(
            "predict", "flowers.safetensors", "w.csv", "--ids", "width", "--append"
        )
        assert "--ids: got 'width' for digits" in fail(
            "predict", "flowers.safetensors", "digits", "--ids", "width"
        )

    def test_a_network_and_data_that_do_not_fit(self, fail, here):
        pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        fb.Network(2, [fb.Dense(1)], seed=0).save("values")
        (here / "x.csv").write_text("a,b,c,d\n1,2,3,4\n5,6,7,8\n")
        assert "got 4 columns, the model wants 2" in fail("predict", "values", "x.csv")
        (here / "x.csv").write_text("a,b\n1,2\n5,6\n")
        assert "--proba: got a model of values" in fail("predict", "values", "x.csv", "--proba")
        (here / "x.csv").write_text("a,b\n1,2\n5,x\n")
        assert "x.csv, line 3, column 'b': got 'x'" in fail("predict", "values", "x.csv")
        assert "got 64 features, the model wants 2" in fail("predict", "values", "digits")
        assert "got 64 features, the model wants 2" in fail("evaluate", "values", "digits")
        np.savez("x.npz", x=np.eye(2), y=np.array(["a", "b"]))
        assert "wanted numbers for regression" in fail("evaluate", "values", "x.npz")

    def test_not_finite(self, fail, here):
        np.savez(here / "data.npz", x=np.array([[1.0], [np.inf], [3]]), y=np.array([0, 1, 0]))
        assert "inf" in fail("train", "data.npz")

    def test_the_old_model_survives_a_failure(self, fail, here, line):
        assert main(["train", "line.csv", "--target", "0", "--quiet", "--epochs", "1"]) == 0
        before = (here / "line.safetensors").read_bytes()
        fail("train", "line.csv", "--target", 0, "--quiet", "--learning-rate", "1e35", status=1)
        assert (here / "line.safetensors").read_bytes() == before

    @pytest.mark.parametrize("link", ["symlink_to", "hardlink_to", None])
    def test_an_output_that_is_an_input_is_refused(self, fail, run, here, monkeypatch, rng, link):
        np.savez(here / "data.npz", x=np.eye(8), y=np.arange(8) % 2)
        run("train", "data.npz", "--quiet", "--epochs", 1, "--out", "net")
        (here / "mnist").mkdir()
        monkeypatch.setenv("FASTBP_DATA", str(here))
        (here / "mnist" / "t10k-images-idx3-ubyte").write_bytes(b"images")
        cases = [
            ("train data.npz", "data.npz"),
            ("train digits --resume net", "net"),
            ("train digits --test data.npz", "data.npz"),
            ("predict net data.npz", "data.npz"),
            ("predict net data.npz", "net"),
            ("export net --to npz", "net"),
            ("train mnist", "mnist/t10k-images-idx3-ubyte"),
            ("predict net mnist", "mnist/t10k-images-idx3-ubyte"),
        ]
        for i, (command, file) in enumerate(cases):
            out = f"mnist/../{file}"
            if link is not None:
                out = here / f"link{i}"
                getattr(out, link)(here / file)
            before = (here / file).read_bytes()
            assert "which is read too" in fail(*command.split(), "--out", out)
            assert (here / file).read_bytes() == before
        digits = here / "digits"
        digits.symlink_to(DIGITS)
        assert "which is read too" in fail("train", "digits", "--out", digits)


def test_a_class_that_the_output_cannot_show(fail, here, monkeypatch, rng):
    x, y = rng.standard_normal((20, 2)), np.array(["żółty", "日本"])[np.arange(20) % 2]
    network = fb.Network(2, [fb.Dense(2, "softmax")], seed=0)
    fb.Trainer(network, "cross_entropy").fit(x, y, 1)
    network.save("m.safetensors")
    np.savez("x.npz", x=x)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    error = fail("predict", "m.safetensors", "x.npz", status=1)
    assert "encoding cp1252" in error
    assert "--out writes UTF-8" in error


def test_names_that_the_output_cannot_show_do_not_end_a_training(here, monkeypatch):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    rows = [f"{i % 7},{i % 5},{'日本' if i % 2 else 'a'}" for i in range(20)]
    (here / "t.csv").write_text("\n".join(["größe,żółty,kind", *rows]), encoding="utf-8")
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["train", "t.csv", "--epochs", "1"]) == 0
    assert stdout.errors == "strict"
    text = stdout.buffer.getvalue().decode("cp1252")
    assert "größe" in text
    assert "\\u65e5\\u672c" in text
