"""The core on other machines has the bits of this one, where compilers and emulators are here.

tools/cross.py does the work, and knows more machines.
"""

from __future__ import annotations

import platform
import runpy
import shutil
import subprocess
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("setuptools")  # whose flags tools/cross.py asks for
ROOT = Path(__file__).parents[2]
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]

X86 = platform.machine() == "x86_64"


cross = SimpleNamespace(**runpy.run_path(str(ROOT / "tools/cross.py")))
EMULATED = ["aarch64", "armhf", "i386", "s390x", "riscv64", "ppc64le"]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The bits of this machine."""
    target = cross.TARGETS["gcc"]
    if not X86 or not target.is_here():
        pytest.skip("wanted x86-64 and gcc")
    return cross.bits_of(target, cross.build(target, tmp_path_factory.mktemp("here")))


@pytest.mark.slow
def test_the_kernel_sets_of_this_machine_have_the_bits_of_the_scalar_one(here):
    assert cross.differences(here, here) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", EMULATED)
def test_another_machine_has_the_same_bits(name, here, tmp_path):
    target = cross.TARGETS[name]
    if not target.is_here() or not target.runs():
        pytest.skip(f"wanted {target.compiler[0]} and {' '.join(target.runner)}")
    found = cross.bits_of(target, cross.build(target, tmp_path))
    assert {isa for isa, _ in found.kernels} == (
        {"neon", "scalar"} if name == "aarch64" else {"scalar"}
    )
    assert cross.differences(found, here) == []


def test_a_kernel_or_a_training_with_other_bits_is_named():
    kernels = {("scalar", "32"): {"activate": "1", "largest": "2"}}
    wanted = cross.Bits(kernels, {("scalar", "32"): "a"})
    other = cross.Bits({("neon", "32"): {"activate": "1"}}, {("neon", "32"): "b"})
    assert cross.differences(other, wanted) == ["neon f32 largest", "neon f32 training"]
    assert cross.differences(wanted, wanted) == []


def test_flags_are_those_that_ship():
    shipped = cross.rules()
    assert "-O3" in shipped["FLAGS"]
    assert "src/fma.c" in shipped["CORE"]
    assert set(shipped["PARTS"]) == {"DENSE", "ROWS", "STREAM"}


@pytest.mark.skipif(not X86 or not shutil.which(COMPILER), reason="wanted x86-64 and a compiler")
@pytest.mark.parametrize(("flag", "refused"), [("-mfpmath=387", True), ("-mfpmath=sse", False)])
def test_more_digits_than_a_float_has_are_refused(flag, refused):
    command = [COMPILER, "-std=gnu11", flag, "-fsyntax-only", "-DFBP_REAL_BITS=32", "-Isrc"]
    done = subprocess.run(
        [*command, "src/kernels_scalar.c"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ("got FLT_EVAL_METHOD other than 0" in done.stderr) == refused
    assert (done.returncode != 0) == refused
