"""A Python without a GIL keeps it off: every compiled module says that it needs none."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "fastbp/engine").glob("*.pyx"))

# As Cython has written it since 3.3, and before.
DECLARED = (
    "#else\n#define __Pyx_FREETHREADING_COMPATIBLE Py_MOD_GIL_NOT_USED\n",
    "{Py_mod_gil, Py_MOD_GIL_NOT_USED}",
)
IMPORTS = """
import importlib, pkgutil, sys
import fastbp
for module in pkgutil.walk_packages(fastbp.__path__, "fastbp."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except fastbp.errors.MissingDependencyError:
            pass
network = fastbp.Network(2, [fastbp.Dense(1, "sigmoid")], seed=0)
fastbp.Trainer(network, "mse", seed=0).fit([[0.0, 1.0]], [1.0], progress=True)
network.save(sys.argv[1])
fastbp.load(sys.argv[1]).predict([[0.0, 1.0]])
print(sys._is_gil_enabled())
"""


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_module_declares_that_it_needs_no_gil(source):
    """In what Cython has made of it, whatever Python it is then compiled for."""
    translated = ROOT / "build/cython/fastbp/engine" / f"{source.stem}.c"
    if not translated.exists():
        pytest.skip("the modules were not built here")
    text = translated.read_text(errors="replace")
    assert any(declared in text for declared in DECLARED)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="it has a GIL")
def test_the_gil_stays_off(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORTS, str(tmp_path / "net")],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr
