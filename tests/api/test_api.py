"""The package as a whole: public names, what importing it costs, an unbuilt tree, show_config."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from training import classes

import fastbp as fb

PACKAGE = Path(fb.__file__).parent


def run(code, cwd, **environment):
    """Run Python code in a fresh interpreter that finds only the packages of `cwd` and its own."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False
    )


def test_public_names():
    assert sorted(fb.__all__) == sorted(set(fb.__all__))
    for name in fb.__all__:
        assert getattr(fb, name) is not None
    # Everything a user meets says what it is.
    assert all(fb.__dict__[name].__doc__ for name in fb.__all__ if name != "__version__")


def test_version_is_the_distributions():
    assert re.fullmatch(r"\d+\.\d+\.\d+", fb.__version__)
    try:
        assert metadata.version("fastbp") == fb.__version__
    except metadata.PackageNotFoundError:
        pytest.skip("not installed")


def test_a_session_as_in_the_readme(tmp_path, capsys):
    x, y = classes(200)
    network = fb.Network(5, [fb.Dense(16, "relu"), fb.Dense(3, "softmax")], seed=0)
    sgd = fb.SGD(0.1, momentum=0.9)
    trainer = fb.Trainer(network, "cross_entropy", sgd, batch_size=16, l2=1e-4, seed=0)
    history = trainer.fit(x[:150], y[:150], epochs=20, validation_data=(x[150:], y[150:]))
    assert history["val_accuracy"][-1] > 0.75
    assert set(trainer.evaluate(x, y)) == {"loss", "accuracy"}
    loss, gradients, dx = network.gradients(x, y, "cross_entropy", inputs=True)
    assert loss > 0
    assert len(gradients) == 2
    assert dx.shape == x.shape
    assert len(network.activations(x)) == 2
    history.to_csv(tmp_path / "run.csv")
    network.save(tmp_path / "net.safetensors")
    loaded = fb.load(tmp_path / "net.safetensors")
    assert np.array_equal(loaded.predict(x), network.predict(x))
    small = fb.Network(5, [fb.Dense(3, "tanh"), fb.Dense(3, "softmax")], seed=0)
    print(fb.gradient_check(small, x[:5], y[:5], "cross_entropy"))
    assert "passed" in capsys.readouterr().out


def test_show_config(capsys):
    fb.show_config()
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(shown) == ["fastbp", "Python", "NumPy", "compiler", "ISA", "team", "threads"]
    assert shown["fastbp"] == fb.__version__
    assert shown["NumPy"] == np.__version__
    assert shown["team"].split(",")[0] == fb.engine.runtime.TEAM
    assert shown["ISA"].split()[0] == fb.engine.runtime.isa()
    assert all(isa in shown["ISA"] for isa in fb.engine.runtime.isas())
    assert int(shown["threads"]) == fb.get_num_threads()


def test_num_threads():
    before = fb.get_num_threads()
    fb.set_num_threads(1)
    assert fb.get_num_threads() == 1
    fb.set_num_threads(None)
    assert fb.get_num_threads() == before


def test_import_loads_no_optional_library():
    heavy = ("sklearn", "scipy", "matplotlib", "tqdm", "safetensors", "torch")
    code = f"import sys, fastbp; print([m for m in {heavy!r} if m in sys.modules])"
    done = run(code, PACKAGE.parent)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_an_unbuilt_tree_says_how_to_build_it(tmp_path):
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "fastbp", ignore=ignored)
    # The finder of an editable install would supply the built modules.
    code = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'Editable' not in repr(f)]"
    done = run(code + "; import fastbp", tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: the compiled modules of fastbp are not built")
    assert "python -m pip install -e ." in last


def test_types_are_shipped():
    assert (PACKAGE / "py.typed").exists()
    for module in (PACKAGE / "engine").glob("*.pyx"):
        if re.search(r"^(def|class|    def) ", module.read_text(), re.MULTILINE):
            assert module.with_suffix(".pyi").exists()
