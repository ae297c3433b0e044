"""A build from source in an odd place, with the flags of others."""

from __future__ import annotations

import os
import re
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
    printed = run(tree, "setup.py", "build_ext", "--inplace", CFLAGS=HARMFUL)
    return tree, printed


def test_harmful_flags_are_left_out(build):
    for flag in HARMFUL.split():
        assert flag in build[1]  # named in a message


def test_the_bits_are_right(build):
    tree, _ = build
    assert "the bits are right" in run(tree, "-m", "fastbp", "info", "--check")


def test_who_imports_it_keeps_denormals(build):
    tree, _ = build
    run(tree, "-c", "import fastbp; assert 1e-310 * 0.5 > 0; assert str(fastbp.__file__)")


def test_nothing_changed_compiles_nothing(build):
    tree, _ = build
    before = {path: path.stat().st_mtime_ns for path in (tree / "build").rglob("*.o")}
    run(tree, "setup.py", "build_ext", "--inplace", CFLAGS=HARMFUL)
    assert before
    assert before == {path: path.stat().st_mtime_ns for path in (tree / "build").rglob("*.o")}


@pytest.mark.parametrize("team", ["openmp", "pthread", "none", "openmp"])
def test_each_team_gives_the_same_bits(build, team):
    """One after the other, in one tree: only what has the team is linked again."""
    tree, _ = build
    run(tree, "setup.py", "build_ext", "--inplace", CFLAGS=HARMFUL, FASTBP_THREADS=team)
    shown = run(tree, "-m", "fastbp", "info", "--check")
    assert re.search(rf"^team +{team}\b", shown, re.MULTILINE)
    assert "OTHER BITS" not in shown


CHOICE = """
import setuptools
setuptools.setup = lambda **given: given
exec(compile(open("setup.py").read(), "setup.py", "exec"))
from distutils.ccompiler import new_compiler
from distutils.sysconfig import customize_compiler
command = Build(setuptools.Distribution())
command.compiler = new_compiler()
customize_compiler(command.compiler)
print("team", command.team())
"""
CHOICES = {  # of the compiler without OpenMP: what is chosen, or what the error says
    "nothing": ({}, "team pthread"),
    "openmp": ({"FASTBP_THREADS": "openmp"}, "cannot link OpenMP"),
    "none": ({"FASTBP_THREADS": "none"}, "team none"),
    "OpenMP required": ({"FASTBP_REQUIRE_OPENMP": "1"}, "cannot link OpenMP"),
    "OpenMP required, but no team": (
        {"FASTBP_THREADS": "none", "FASTBP_REQUIRE_OPENMP": "1"},
        "team none",
    ),
    "another": ({"FASTBP_THREADS": "tbb"}, "got FASTBP_THREADS=tbb, wanted one of openmp"),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="defaults of Linux with glibc")
@pytest.mark.parametrize("choice", CHOICES)
def test_a_compiler_without_openmp(choice, tmp_path):
    environment, wanted = CHOICES[choice]
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\ncase "$*" in *openmp*) exit 1 ;; esac\nexec cc "$@"\n')
    compiler.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHOICE],
        cwd=ROOT,
        env=os.environ | {"CC": str(compiler)} | environment,
        capture_output=True,
        text=True,
    )
    assert wanted in done.stdout + done.stderr
    assert (done.returncode == 0) == wanted.startswith("team")
