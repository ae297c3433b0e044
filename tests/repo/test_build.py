"""A build from source in an odd place, with the flags of others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HARMFUL = "-Ofast -ffast-math -flto -march=native"

pytestmark = pytest.mark.slow


def run(tree, *command, **environment):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A tree whose path has blanks and other letters, built with harmful flags, and what came."""
    tree = tmp_path_factory.mktemp("build") / "a tree, größer"
    ignored = shutil.ignore_patterns("build", "*.so", "__pycache__", ".git", ".hypothesis")
    shutil.copytree(ROOT, tree, ignore=ignored)
    printed = run(tree, "setup.py", "build_ext", "--inplace", CFLAGS=HARMFUL, FASTBP_NO_OPENMP="0")
    return tree, printed


def test_harmful_flags_are_left_out(build):
    for flag in HARMFUL.split():
        assert flag in build[1]  # named in a message


def test_the_bits_are_right(build):
    tree, _ = build
    assert "OpenMP    yes" in run(tree, "-m", "fastbp", "info", "--check")


def test_who_imports_it_keeps_denormals(build):
    tree, _ = build
    run(tree, "-c", "import fastbp; assert 1e-310 * 0.5 > 0; assert str(fastbp.__file__)")


def test_nothing_changed_compiles_nothing(build):
    tree, _ = build
    before = {path: path.stat().st_mtime_ns for path in (tree / "build").rglob("*.o")}
    run(tree, "setup.py", "build_ext", "--inplace", CFLAGS=HARMFUL)
    assert before
    assert before == {path: path.stat().st_mtime_ns for path in (tree / "build").rglob("*.o")}
