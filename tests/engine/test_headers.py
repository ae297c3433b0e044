"""Every header of the core compiles on its own, whatever was included before it, and twice over."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
FLAGS = ["-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{SRC}"]
FLAGS += ["-Wno-unused-function", "-DFBP_ISA=scalar", "-DFBP_VEC_BYTES=0"]


HEADERS = [path.name for path in sorted(SRC.glob("*.h"))]


@pytest.mark.skipif(not shutil.which(COMPILER), reason=f"no {COMPILER}")
@pytest.mark.parametrize("bits", [pytest.param(32, marks=pytest.mark.slow), 64])
def test_a_header_needs_no_other_before_it(bits, tmp_path):
    sources = []
    for header in HEADERS:
        sources.append(tmp_path / f"{header}.c")
        sources[-1].write_text(f'#include "{header}"\n' * 2)
    done = subprocess.run(
        [COMPILER, *FLAGS, f"-DFBP_REAL_BITS={bits}", *map(str, sources)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
