"""Modules of others that are built with the header: the examples of docs/embedding.md."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import c_api
import pytest

import fastbp as fb

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "embedding.md"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
COMPILERS = {"gcc": "-std=c99", "clang": "-std=c99", "g++": "-std=c++17", "clang++": "-std=c++17"}
ALONE = """#include "fastbp.h"
int main(void)
{
    fastbp_network *network = NULL;
    double number = 0;
    if (fastbp_use(NULL) != FASTBP_ERROR_NULL || fastbp_error_text(-3)[0] != 'a')
        return 1;
    return fastbp_predict(network, &number, 1, &number) != FASTBP_ERROR_NULL;
}
"""
IMPORTS = """#include <Python.h>
#include "fastbp.h"
extern int (*imports)(void);
int (*imports)(void) = fastbp_import;
"""

posix = pytest.mark.skipif(sys.platform == "win32", reason="commands of POSIX systems")


def compiler():
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return found
    return pytest.skip("needs a C compiler")


def run(*command, **options):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=900, **options
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-4000:])
    return done.stdout


@posix
@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("source", [ALONE, IMPORTS], ids=["alone", "with Python.h"])
def test_the_header_has_no_warnings(name, source, tmp_path):
    if not shutil.which(name):
        pytest.skip(f"needs {name}")
    language = "c++" if "++" in name else "c"
    python = ["-isystem", sysconfig.get_path("include")]
    path = tmp_path / "source"
    path.write_text(source)
    options = [COMPILERS[name], *WARNINGS, f"-I{fb.get_include()}", *python]
    run(name, *options, "-c", "-x", language, path, "-o", tmp_path / "object")
    if source == ALONE:
        run(name, tmp_path / "object", "-o", tmp_path / "program")
        run(tmp_path / "program")


def built_module(source, folder, *flags):
    """Compile a C extension by hand, and load it."""
    out = folder / f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
    shared = ["-shared"]
    if sys.platform == "darwin":
        shared = ["-bundle", "-undefined", "dynamic_lookup"]
    include = [f"-I{fb.get_include()}", "-isystem", sysconfig.get_path("include")]
    options = ["-std=c99", *WARNINGS, "-O1", "-fPIC", *flags, *include, *shared]
    run(compiler(), *options, source, "-o", out)
    spec = importlib.util.spec_from_file_location(source.stem, out)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


USE = """
import numpy as np, fastbp as fb, slopes
net = fb.Network(4, [fb.Dense(6, "tanh"), fb.Dense(3, "softmax")], seed=0)
x = np.linspace(-1, 1, 4, dtype=np.float32)
y, slope = (np.frombuffer(found, np.float32) for found in slopes.row(net, x.tobytes()))
assert (y == net.predict([x])[0]).all()
step, wide = 1e-3, net.copy("float64")
for i in range(4):
    low, high = x.astype(float), x.astype(float)
    low[i] -= step
    high[i] += step
    wanted = (wide.predict([high]) - wide.predict([low]))[0] / (2 * step)
    assert abs(slope.reshape(3, 4)[:, i] - wanted).max() < 1e-5
for network, row, words in (
    (net, b"12", "bytes of scratch"),
    (net, x.tobytes()[:12] + b"\\xff" * 4, "not finite"),
    (wide, x.tobytes(), "wanted float64"),
    (None, x.tobytes(), "wanted a Network"),
):
    try:
        slopes.row(network, row)
    except RuntimeError as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)
print("right:", fb.__file__)
"""


@posix
def test_a_module_in_c(tmp_path, monkeypatch):
    module = built_module(HERE / "slopes" / "slopes.c", tmp_path)
    monkeypatch.setitem(sys.modules, "slopes", module)
    exec(USE, {})


@posix
@pytest.mark.parametrize(
    ("flag", "version", "advice"),
    [
        ("-DFASTBP_ABI_MAJOR=2", "2.0", "update fastbp"),
        ("-DFASTBP_ABI_MINOR=7", "1.7", "update fastbp"),
        ("-DFASTBP_ABI_MAJOR=0", "0.0", "build this module again"),
    ],
)
def test_a_module_of_another_version(flag, version, advice, tmp_path):
    with pytest.raises(ImportError, match=advice) as caught:
        built_module(HERE / "slopes" / "slopes.c", tmp_path, flag)
    assert f"built for version {version} of fastbp's C functions" in str(caught.value)
    assert f"fastbp {fb.__version__}, which is installed, has version 1.0" in str(caught.value)


@pytest.mark.skipif(not PAGE.exists(), reason="the page is in the source tree")
def test_the_page_has_the_examples_and_the_codes():
    page = PAGE.read_text(encoding="utf-8")
    for path in HERE.glob("*/*"):
        if path.suffix in (".c", ".pyx", ".py", ".toml") and path != HERE / "slopes/pyproject.toml":
            assert f"\n{path.read_text(encoding='utf-8')}```" in page, path.name
    for name, number in c_api.CODES.items():
        assert number >= 0 or f"| `FASTBP_ERROR_{name}` | {number} |" in page
    for name in re.findall(r"^static inline .*?(fastbp_\w+)\(", c_api.HEADER, re.MULTILINE):
        assert name in page or name.removeprefix("fastbp") in page, name


def test_cython_declares_what_the_header_has():
    declared = Path(fb.__file__).with_name("__init__.pxd").read_text(encoding="utf-8")
    for name in re.findall(r"^static inline .*?(fastbp_\w+)\(", c_api.HEADER, re.MULTILINE):
        assert re.search(rf" \*?{name}\(", declared), name
    for name in re.findall(r"^ +(FASTBP_\w+) = -?\d", c_api.HEADER, re.MULTILINE):
        assert f" {name}\n" in declared, name


USE_ONLINE = """
import numpy as np, fastbp as fb, online
signal = np.sin(np.arange(4000) * 0.3) + 0.3 * np.sin(np.arange(4000) * 0.11)
def trainer():
    net = fb.Network(8, [fb.Dense(16, "tanh"), fb.Dense(1)], dtype="float64", seed=0)
    return fb.Trainer(net, "mse", fb.SGD(0.05), seed=0)
own, twin, predicted = trainer(), trainer(), np.zeros(4000)
online.Predictor(own).follow(signal, predicted)
for i in range(8, 200):
    assert predicted[i] == twin.network.predict([signal[i - 8 : i]])[0, 0]
    twin.step([signal[i - 8 : i]], [signal[i]])
assert own.n_steps == 3992
first, last = abs(predicted - signal)[8:100].mean(), abs(predicted - signal)[3000:].mean()
assert last < 0.3 * first, (first, last)
signal[100] = np.nan
try:
    online.Predictor(own).follow(signal, predicted)
except RuntimeError as error:
    assert "not finite" in str(error), error
print("right:", fb.__file__)
"""


@posix
@pytest.mark.slow
def test_a_module_in_cython(tmp_path):
    pytest.importorskip("Cython")
    compiler()
    folder = tmp_path / "online"
    shutil.copytree(HERE / "online", folder)
    paths = os.pathsep.join([str(Path(fb.__file__).parents[1]), str(folder)])
    environment = os.environ | {"PYTHONPATH": paths}
    run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", cwd=folder, env=environment)
    assert "right: " in run(sys.executable, "-c", USE_ONLINE, cwd=tmp_path, env=environment)


@posix
@pytest.mark.slow
def test_packages_built_against_the_installed_wheel(tmp_path):
    """In a fresh environment, by the wheel alone: header and .pxd are in it."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    if not (ROOT / "setup.py").exists():
        pytest.skip("needs the source tree")
    plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    tree = tmp_path / "tree"
    ignored = shutil.ignore_patterns(
        "build", "*.so", "__pycache__", ".git", ".hypothesis", "bench", "docs"
    )
    shutil.copytree(ROOT, tree, ignore=ignored)
    options = ["-q", "--no-build-isolation", "--no-deps", "--no-index"]
    run(sys.executable, "-m", "pip", "wheel", *options, "-w", tmp_path, tree, env=plain)
    (wheel,) = tmp_path.glob("fastbp-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    shutil.unpack_archive(wheel, packages, "zip")
    # NumPy, Cython and setuptools of this environment, but not its fastbp.
    for name in (
        "numpy",
        "numpy.libs",
        "Cython",
        "cython.py",
        "setuptools",
        "_distutils_hack",
        "narwhals",
    ):
        origin = Path(sysconfig.get_path("platlib"), name)
        if origin.exists():
            (packages / name).symlink_to(origin)
    own = tmp_path / "env" / "bin" / "python"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name, code in (("slopes", USE), ("online", USE_ONLINE)):
        folder = tmp_path / name
        shutil.copytree(HERE / name, folder)
        run(own, "setup.py", "-q", "build_ext", "--inplace", cwd=folder, env=plain)
        found = run(own, "-c", code, cwd=elsewhere, env=plain | {"PYTHONPATH": str(folder)})
        assert f"{packages}" in found
        print(found)
