"""The scalar kernels and what is around them, in C11 without extensions of GCC and Clang.

Clang stands in for it: it is told to be no Clang, and `msvc/` has the intrinsics. So this is a test
of our code, not of that compiler.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORDERS = ("RELAXED", "ACQUIRE", "RELEASE", "ACQ_REL", "SEQ_CST")
COMMAND = ["clang", "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror"]
COMMAND += ["-U__clang__", "-U__GNUC__", *(f"-U__ATOMIC_{order}" for order in ORDERS)]
COMMAND += ["-D_MSC_VER=1939", "-D_M_X64=100", f"-I{ROOT / 'src'}"]
COMMAND += [f"-I{ROOT / 'tests/engine/msvc'}"]
# Prefetch is nothing there, so what it would fetch is not used; the rest is glibc's without GCC.
COMMAND += ["-Wno-unknown-pragmas", "-Wno-unused-variable", "-Wno-unused-but-set-variable"]
COMMAND += ["-Wno-literal-range", "-Wno-gnu-statement-expression"]

ATOMICS = r"""
#include "fbp.h"
#include "phases.h"

#include <assert.h>

int main(void)
{
    static const int64_t constant = 1LL << 40;
    int64_t word = constant - 1, from = 5;
    int small = -7;
    size_t size = 3;
    void *place = &small;
    assert(__atomic_load_n(&constant, __ATOMIC_RELAXED) == constant);
    assert(__atomic_fetch_add(&word, 1, __ATOMIC_RELAXED) == constant - 1 && word == constant);
    assert(__atomic_sub_fetch(&small, 3, __ATOMIC_RELAXED) == -10 && small == -10);
    assert(__atomic_add_fetch(&small, 12, __ATOMIC_SEQ_CST) == 2);
    assert(__atomic_fetch_sub(&size, 4, __ATOMIC_SEQ_CST) == 3 && size == (size_t)-1);
    assert(__atomic_exchange_n(&small, -4, __ATOMIC_ACQ_REL) == 2 && small == -4);
    assert(!__atomic_compare_exchange_n(&word, &from, 6, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    assert(from == constant && word == constant);
    assert(__atomic_compare_exchange_n(&word, &from, -6, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    assert(word == -6);
    assert(fbp_look(&place) == &small);
    fbp_put(&place, &word);
    assert(place == &word);
    return 0;
}
"""

pytestmark = pytest.mark.skipif(not shutil.which("clang"), reason="no clang")


def compile_(*words):
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("bits", [32, 64])
def test_scalar_kernels(bits):
    compile_("-fsyntax-only", f"-DFBP_REAL_BITS={bits}", ROOT / "src/kernels_scalar.c")


@pytest.mark.parametrize("name", ["dispatch", "memory", "team", "threads"])
def test_around_the_kernels(name):
    compile_("-fsyntax-only", "-DFBP_PTHREAD", ROOT / f"src/{name}.c")


def test_atomic_operations(tmp_path):
    source, program = tmp_path / "atomics.c", tmp_path / "atomics"
    source.write_text(ATOMICS)
    compile_("-Wno-unused-function", source, "-o", program)
    subprocess.run([program], check=True)
