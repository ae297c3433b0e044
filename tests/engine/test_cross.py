"""Kernel sets of other machines: cross-compiled, and run in an emulator where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
FLAGS = ["-std=gnu11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
FLAGS.append(f"-I{ROOT / 'src'}")


@pytest.mark.skipif(not shutil.which(COMPILER), reason=f"no {COMPILER}")
def test_neon_compiles_and_has_the_bits_of_the_scalar_kernels(tmp_path):
    objects = []
    for name, bits in [(name, bits) for name in ("neon", "scalar") for bits in (32, 64)]:
        objects.append(str(tmp_path / f"{name}{bits}.o"))
        source = str(ROOT / f"src/kernels_{name}.c")
        compile_ = [COMPILER, *FLAGS, f"-DFBP_REAL_BITS={bits}", "-c", source, "-o", objects[-1]]
        subprocess.run(compile_, check=True)
    sources = [str(ROOT / "src" / f"{name}.c") for name in ("dispatch", "memory", "threads")]
    sources.append(str(ROOT / "tests/engine/isa_bits.c"))
    program = str(tmp_path / "isa_bits")
    link = [COMPILER, *FLAGS, "-static", *sources, *objects, "-lm", "-o", program]
    subprocess.run(link, check=True)
    if not shutil.which(EMULATOR):
        pytest.skip(f"compiled; not run without {EMULATOR}")
    done = subprocess.run([EMULATOR, program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["neon f32 checked", "neon f64 checked"]
    assert done.returncode == 0
