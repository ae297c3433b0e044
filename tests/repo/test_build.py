"""Builds from source: in odd places, with other compilers, with the flags of others."""

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
WARNINGS = "-Wall -Wextra -Werror"
IN_PLACE = ("setup.py", "build_ext", "--inplace")

pytestmark = pytest.mark.slow


def run(tree, *command, **environment):
    """Run Python with arguments in a tree and return what it prints."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def copied(tree):
    """A copy of the sources without anything that was built."""
    ignored = shutil.ignore_patterns("build", "*.so", "__pycache__", ".git", ".hypothesis")
    shutil.copytree(ROOT, tree, ignore=ignored)
    return tree


def objects(tree):
    """The objects of a build and when each was made."""
    return {path: path.stat().st_mtime_ns for path in (tree / "build").rglob("*.o")}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A tree whose path has blanks and other letters, built with harmful flags, and what came.

    A warning is an error in our own C and in what Cython makes of the modules.
    """
    tree = copied(tmp_path_factory.mktemp("build") / "a tree, größer")
    flags = f"{HARMFUL} {WARNINGS}"
    return tree, run(tree, *IN_PLACE, CFLAGS=flags)


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
    before = objects(tree)
    run(tree, *IN_PLACE, CFLAGS=f"{HARMFUL} {WARNINGS}")
    assert before
    assert before == objects(tree)


@pytest.mark.parametrize("team", ["openmp", "pthread", "none", "openmp"])
def test_each_team_gives_the_same_bits(build, team):
    """One after the other, in one tree: only what has the team is linked again."""
    tree, _ = build
    run(tree, *IN_PLACE, CFLAGS=f"{HARMFUL} {WARNINGS}", FASTBP_THREADS=team)
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
command.plat_name, command.machine = "linux-x86_64", "x86_64"
command.choose_compiler()
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


# setuptools compiles all sources of a module again, so those of the C core together.
@pytest.mark.parametrize(
    ("changed", "compiled"),
    [
        ("fastbp/engine/probe.pyx", {"probe"}),
        ("src/memory.c", {"dispatch", "fma", "memory", "runtime", "threads"}),
    ],
)
def test_a_change_compiles_what_depends_on_it(build, changed, compiled):
    tree, _ = build
    before = objects(tree)
    (tree / changed).touch()
    run(tree, *IN_PLACE, CFLAGS=f"{HARMFUL} {WARNINGS}")
    assert {path.stem for path, time in objects(tree).items() if time != before[path]} == compiled


def test_clang(tmp_path):
    if not shutil.which("clang"):
        pytest.skip("needs clang, and its libomp")
    tree = copied(tmp_path / "tree")
    run(tree, *IN_PLACE, CC="clang", CFLAGS=WARNINGS, FASTBP_THREADS="openmp")
    printed = run(tree, "-m", "fastbp", "info", "--check")
    assert "compiler  Clang" in printed
    assert re.search(r"^team +openmp\b", printed, re.MULTILINE)


def test_offline_without_threads_in_a_tree_that_is_read_only(tmp_path):
    tree = copied(tmp_path / "tree")
    # A file system of its own, as permissions do not hold back root.
    alone = ["unshare", "--mount", "--map-root-user"]
    mount = f"mount --bind '{tree}' '{tree}' && mount -o remount,ro,bind '{tree}'"
    if not shutil.which("unshare") or subprocess.run([*alone, "sh", "-c", mount]).returncode:
        pytest.skip("needs unshare and the right to mount")
    options = "--no-build-isolation --no-deps --no-index"
    wheel = f"'{sys.executable}' -m pip wheel {options} --wheel-dir '{tmp_path}' '{tree}'"
    subprocess.run(
        [*alone, "sh", "-ec", f"{mount}\n! touch '{tree}/file'\n{wheel}"],
        env=os.environ | {"FASTBP_THREADS": "none"},
        check=True,
    )
    (path,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(path, tmp_path / "unpacked", "zip")
    printed = run(tmp_path / "unpacked", "-m", "fastbp", "info", "--check")
    assert re.search(r"^team +none\b", printed, re.MULTILINE)
