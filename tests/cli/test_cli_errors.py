"""What the command ``fastbp`` says when it cannot: one line, exit status 2, no file."""

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
            ("train nothing", "got 'nothing', wanted digits, mnist, a .npz or a .csv file"),
            ("train none.csv", "none.csv: No such file"),
            ("train none.npz", "none.npz: No such file"),
            ("train mnist", "FASTBP_DATA"),
            ("train digits --epochs 0", "'0' is not a positive integer"),
            ("train digits --batch-size -1", "'-1' is not a positive integer"),
            ("train digits --hidden 8,x", "'x' is not a positive integer"),
            ("train digits --activation swish", "'swish'"),
            ("train digits --learning-rate nan", "learning_rate: got nan"),
            ("train digits --learning-rate 1e30", "diverged"),
            ("train digits --momentum 1", "momentum: got 1.0"),
            ("train digits --l2 -1", "l2: got -1.0"),
            ("train digits --seed -1", "seed: got -1"),
            ("train digits --test-fraction 1", "test_fraction: got 1.0"),
            ("train digits --target 3", "--target: got '3' for digits"),
            ("train digits --out no/folder/m", "folder that exists"),
            ("train digits --out .", "wanted a file"),
            ("predict none.safetensors digits", "none.safetensors: No such file"),
            ("info none.safetensors", "none.safetensors: No such file"),
        ],
    )
    def test_one_line_and_status_2(self, fail, here, arguments, message):
        assert message in fail(*arguments.split())
        assert list(here.iterdir()) == []

    def test_data_that_does_not_fit(self, fail, here):
        (here / "flowers.csv").write_text("length,width,kind\n1,2,rose\n3,4,tulip\n5,7,rose\n")
        assert main(["train", "flowers.csv", "--quiet"]) == 0
        assert "got 64 features, the model wants 2" in fail(
            "predict", "flowers.safetensors", "digits"
        )
        (here / "x.csv").write_text("length,depth\n1,2\n")
        assert "got no column 'width'" in fail("predict", "flowers.safetensors", "x.csv")
        (here / "y.csv").write_text("1,2,3,4\n")
        assert "got 4 columns" in fail("predict", "flowers.safetensors", "y.csv")
        assert "safetensors" in fail("info", "flowers.csv")

    def test_not_finite(self, fail, here):
        np.savez(here / "data.npz", x=np.array([[1.0], [np.inf], [3]]), y=np.array([0, 1, 0]))
        assert "inf" in fail("train", "data.npz")

    def test_the_old_model_survives_a_failure(self, fail, here):
        assert main(["train", "digits", "--quiet", "--epochs", "1"]) == 0
        before = (here / "digits.safetensors").read_bytes()
        fail("train", "digits", "--quiet", "--learning-rate", "1e30")
        assert (here / "digits.safetensors").read_bytes() == before

    @pytest.mark.parametrize("link", ["symlink_to", "hardlink_to", None])
    def test_an_output_that_is_an_input_is_refused(self, fail, run, here, monkeypatch, rng, link):
        np.savez(here / "data.npz", x=np.eye(8), y=np.arange(8) % 2)
        run("train", "data.npz", "--quiet", "--epochs", 1, "--out", "net")
        (here / "mnist").mkdir()
        monkeypatch.setenv("FASTBP_DATA", str(here))
        (here / "mnist" / "t10k-images-idx3-ubyte").write_bytes(b"images")
        cases = [
            ("train data.npz", "data.npz"),
            ("predict net data.npz", "data.npz"),
            ("predict net data.npz", "net"),
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
    error = fail("predict", "m.safetensors", "x.npz")
    assert "encoding cp1252" in error
    assert "--out writes UTF-8" in error
