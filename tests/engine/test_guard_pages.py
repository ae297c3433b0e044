"""No kernel of the built extension touches a byte outside its buffers: there are forbidden pages.

The calls are in kernel_calls.c, compiled here; they run in a child process, which a fault ends with
the name of the kernel.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from fastbp.engine import runtime

ROOT = Path(__file__).parents[2]
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
FLAGS = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
ISAS = runtime.isas()
ENDS, BEGINS = 0, 1  # where the forbidden page is: as `enum place` in kernel_calls.c

CHILD = """
import ctypes, sys
from fastbp.engine import kernels
calls = ctypes.CDLL(sys.argv[1])
for isa in sys.argv[3:]:
    for dtype in ("float32", "float64"):
        table = ctypes.c_void_p(kernels.table(isa, dtype))
        missing = calls.call_kernels(table, *map(int, sys.argv[2]))
        assert missing == 0, f"{missing} kernels of {isa} were not called"
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if sys.platform != "linux" or not shutil.which(COMPILER):
        pytest.skip(f"wanted Linux and {COMPILER}")
    path = tmp_path_factory.mktemp("calls") / "kernel_calls.so"
    source = ROOT / "tests/engine/kernel_calls.c"
    subprocess.run([COMPILER, *FLAGS, f"-I{ROOT / 'src'}", source, "-o", path], check=True)
    return path


def fault(library, place, every=0, planted=0, isas=ISAS):
    """What a child that calls all kernels says before it ends; "" if all is well."""
    how = f"{place}{every}{planted}"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, library, how, *isas],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr or f"exit status {done.returncode}"


@pytest.mark.parametrize("place", [ENDS, BEGINS])
def test_no_kernel_touches_what_is_beside_its_buffers(library, place):
    assert fault(library, place) == ""


@pytest.mark.slow
@pytest.mark.parametrize("place", [ENDS, BEGINS])
def test_no_kernel_does_at_any_size(library, place, isa):
    assert fault(library, place, every=1, isas=[isa]) == ""


@pytest.mark.parametrize(("place", "op"), [(ENDS, "largest"), (BEGINS, "add_rows")])
def test_a_kernel_that_reads_one_element_outside_is_found(library, place, op):
    assert f" {op}: signal 11" in fault(library, place, planted=1, isas=ISAS[:1])
