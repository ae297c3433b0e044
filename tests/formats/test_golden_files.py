"""Files of every version of the format, read for ever: the same networks, and the same next steps.

What came out when they were written is beside them. If one of these fails, users' files are read
differently: mend the reader. If the arithmetic was changed on purpose, which changes the outputs of
every saved network, `python -m golden` records new digests of the files once their entries are
deleted; the files stay.
"""

from __future__ import annotations

import golden
import numpy as np
import pytest

import fastbp as fb
from fastbp.engine.runtime import ACTIVATIONS
from fastbp.formats import checkpoint, modelfile
from fastbp.tables import model

RECORDED = golden.recorded()


@pytest.mark.parametrize("name", RECORDED)
def test_what_comes_out_of_a_file(name, reader):
    if "-table-" in name:
        pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
    found = golden.what_comes_out(name)
    for key, value in RECORDED[name].items():
        assert found[key] == value, key


def test_all_files_are_there_and_small():
    files = {path.stem: path for path in golden.FOLDER.glob("*.safetensors")}
    assert files.keys() == RECORDED.keys()
    assert all(path.stat().st_size < 10_000 for path in files.values())


def test_the_versions_of_today_are_among_them():
    """A new version wants files of its own, beside those of the old ones."""
    assert f"v{modelfile.FORMAT_VERSION}" == golden.VERSION
    assert checkpoint.VERSION == 1, "give the checkpoints of the new version another prefix"
    assert any(name.startswith(f"{golden.VERSION}-model") for name in RECORDED)
    assert any(name.startswith(f"{golden.VERSION}-checkpoint") for name in RECORDED)
    assert model.VERSION == 1, "give the models of tables of the new version another prefix"
    assert {f"{golden.VERSION}-table-{what}" for what in golden.TABLES} <= RECORDED.keys()


def test_they_hold_every_kind_of_everything():
    text = "".join(
        found.get("network", "") + found.get("trainer", "") for found in RECORDED.values()
    )
    kinds = {*checkpoint.OPTIMIZERS, *checkpoint.SCHEDULES, "Maxout", "Gated", "Residual"}
    kinds -= {"LBFGS"}  # its steps are SciPy's, of whatever version
    special = {"leaky_relu": "LeakyReLU", "elu": "ELU"}
    kinds |= {special.get(name, f"'{name}'") for name in ACTIVATIONS}
    assert {kind for kind in kinds if kind not in text} == set()
    for dtype in golden.DTYPES:
        assert sum(name.endswith(dtype) for name in RECORDED) > 8
    for name, found in RECORDED.items():
        if "every-layer" in name:  # the digest depends on what each layer does
            assert min(found["numbers that differ, of every layer"]) >= 2


def test_the_recipes_still_make_what_the_files_hold():
    """Weights are set, not drawn, so only a change of the recipes shows here."""
    for name, build in golden.MODELS.items():
        path = golden.FOLDER / f"{golden.VERSION}-model-{name}-float64.safetensors"
        loaded, made = fb.load(path), build("float64")
        assert np.allclose(loaded.predict(golden.X), made.predict(golden.X), rtol=1e-12, atol=0)
